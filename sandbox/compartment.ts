import { isJson, listOf, memberOf, stringOf, type Json } from './json.ts'

/**
 * Type → the elements by which one of its resources belongs to a patient: the Patient compartment of R4
 * (https://hl7.org/fhir/R4/compartmentdefinition-patient.html), its search parameters written as the elements that they look at.
 * A Patient belongs to itself.
 */
const COMPARTMENT: ReadonlyMap<string, readonly string[]> = new Map(
  `Account subject; AdverseEvent subject; AllergyIntolerance patient recorder asserter; Appointment participant.actor;
  AppointmentResponse actor; AuditEvent agent.who entity.what; Basic subject author; BodyStructure patient;
  CarePlan subject activity.detail.performer; CareTeam subject participant.member; ChargeItem subject; Claim patient payee.party;
  ClaimResponse patient; ClinicalImpression subject; Communication subject sender recipient;
  CommunicationRequest subject sender recipient requester; Composition subject author attester.party; Condition subject asserter;
  Consent patient; Coverage policyHolder subscriber beneficiary payor; CoverageEligibilityRequest patient;
  CoverageEligibilityResponse patient; DetectedIssue patient; DeviceRequest subject performer; DeviceUseStatement subject;
  DiagnosticReport subject; DocumentManifest subject author recipient; DocumentReference subject author; Encounter subject;
  EnrollmentRequest candidate; EpisodeOfCare patient; ExplanationOfBenefit patient payee.party; FamilyMemberHistory patient;
  Flag subject; Goal subject; Group member.entity; ImagingStudy subject; Immunization patient; ImmunizationEvaluation patient;
  ImmunizationRecommendation patient; Invoice subject recipient; List subject source; MeasureReport subject; Media subject;
  MedicationAdministration subject performer.actor; MedicationDispense subject receiver; MedicationRequest subject;
  MedicationStatement subject; MolecularSequence patient; NutritionOrder patient; Observation subject performer; Patient id;
  Person link.target; Procedure subject performer.actor; Provenance target; QuestionnaireResponse subject author;
  RelatedPerson patient; RequestGroup subject action.participant; ResearchSubject individual; RiskAssessment subject;
  Schedule actor; ServiceRequest subject performer; Specimen subject; SupplyDelivery patient; SupplyRequest deliverTo;
  Task for focus; VisionPrescription patient`
    .split(';')
    .map((entry) => entry.trim().split(' '))
    .map(([type = '', ...elements]) => [type, elements]),
)

/** Every value at a path of elements, lists taken apart. */
export const valuesAt = (resource: Json, path: string): readonly unknown[] =>
  path.split('.').reduce<readonly unknown[]>(
    (values, element) =>
      values.flatMap((value) => {
        const member = memberOf(value, element)
        if (member === undefined) return []
        return Array.isArray(member) ? listOf(member) : [member]
      }),
    [resource],
  )

const PATIENT_REFERENCE = /^Patient\/([^/]+)(?:\/_history\/.+)?$/

/** Whether a type is in the Patient compartment. What is not belongs to no patient, whatever it refers to. */
export const isInCompartment = (type: string): boolean => COMPARTMENT.has(type)

const referencedBy = (resource: Json, paths: readonly string[]): readonly string[] => {
  const references = paths.flatMap((path) => valuesAt(resource, path)).filter(isJson)
  const ids = references.map(({ reference }) => PATIENT_REFERENCE.exec(stringOf(reference))?.[1])
  return [...new Set(ids.filter((id) => id !== undefined))]
}

/** Ids of the patients to whom a resource belongs: those whose compartments it is in, and of a Patient none but itself. */
export const patientsOf = (resource: Json): readonly string[] => {
  const type = stringOf(resource['resourceType'])
  if (type === 'Patient') return [stringOf(resource['id'])]
  return referencedBy(resource, COMPARTMENT.get(type) ?? [])
}

/** Ids of the patients in whose blocks a resource stands; one Patient is in the compartment of another to whom it is linked. */
export const blocksOf = (resource: Json): readonly string[] => {
  const linked = resource['resourceType'] === 'Patient' ? referencedBy(resource, ['link.other']) : []
  return [...new Set([...patientsOf(resource), ...linked])]
}
