/**
 * The Patient compartment of R4: a type, then the elements whose references say which patients one of its resources belongs to.
 * Generated from the search parameters that define it; a test compares them. https://hl7.org/fhir/R4/compartmentdefinition-patient.html
 */
const TABLE = `
  Account subject; AdverseEvent subject; AllergyIntolerance patient recorder asserter; Appointment participant.actor;
  AppointmentResponse actor; AuditEvent agent.who entity.what; Basic subject author; BodyStructure patient;
  CarePlan subject activity.detail.performer; CareTeam subject participant.member; ChargeItem subject;
  Claim patient payee.party; ClaimResponse patient; ClinicalImpression subject; Communication subject sender recipient;
  CommunicationRequest subject sender recipient requester; Composition subject author attester.party;
  Condition subject asserter; Consent patient; Coverage policyHolder subscriber beneficiary payor;
  CoverageEligibilityRequest patient; CoverageEligibilityResponse patient; DetectedIssue patient;
  DeviceRequest subject performer; DeviceUseStatement subject; DiagnosticReport subject;
  DocumentManifest subject author recipient; DocumentReference subject author; Encounter subject;
  EnrollmentRequest candidate; EpisodeOfCare patient; ExplanationOfBenefit patient payee.party;
  FamilyMemberHistory patient; Flag subject; Goal subject; Group member.entity; ImagingStudy subject;
  Immunization patient; ImmunizationEvaluation patient; ImmunizationRecommendation patient; Invoice subject recipient;
  List subject source; MeasureReport subject; Media subject; MedicationAdministration subject performer.actor;
  MedicationDispense subject receiver; MedicationRequest subject; MedicationStatement subject;
  MolecularSequence patient; NutritionOrder patient; Observation subject performer; Patient link.other;
  Person link.target; Procedure subject performer.actor; Provenance target; QuestionnaireResponse subject author;
  RelatedPerson patient; RequestGroup subject action.participant; ResearchSubject individual; RiskAssessment subject;
  Schedule actor; ServiceRequest subject performer; Specimen subject; SupplyDelivery patient; SupplyRequest deliverTo;
  Task for focus; VisionPrescription patient`

/** By type, the paths of those elements. A type that is missing belongs to no patient, whatever it refers to [PA-09]. */
export const PATIENT_COMPARTMENT: ReadonlyMap<string, readonly (readonly string[])[]> = new Map(
  TABLE.split(';').map((entry) => {
    const [type = '', ...paths] = entry.trim().split(/\s+/)
    return [type, paths.map((path) => path.split('.'))]
  }),
)
