/**
 * The concrete resource types of FHIR R4 (4.0.1), a line for each: `Type;mandatory elements;patient compartment`. Mandatory elements are
 * those at its root, a choice by the name that all its forms share: `effective` stands for `effectiveDateTime` too. The last column
 * has the elements whose references say which patients a resource belongs to; a type without them belongs to none. Taken from the
 * definitions; a test compares them. `Resource` and `DomainResource` are abstract and not among them.
 *
 * @see https://hl7.org/fhir/R4/resourcelist.html, https://hl7.org/fhir/R4/compartmentdefinition-patient.html
 */
const TABLE = `
Account;status;subject
ActivityDefinition;status
AdverseEvent;actuality subject;subject
AllergyIntolerance;patient;patient recorder asserter
Appointment;status participant;participant.actor
AppointmentResponse;appointment participantStatus;actor
AuditEvent;type recorded agent source;agent.who entity.what
Basic;code;subject author
Binary;contentType
BiologicallyDerivedProduct
BodyStructure;patient;patient
Bundle;type
CapabilityStatement;status date kind fhirVersion format
CarePlan;status intent subject;subject activity.detail.performer
CareTeam;;subject participant.member
CatalogEntry;orderable referencedItem
ChargeItem;status code subject;subject
ChargeItemDefinition;url status
Claim;status type use patient created provider priority insurance;patient payee.party
ClaimResponse;status type use patient created insurer outcome;patient
ClinicalImpression;status subject;subject
CodeSystem;status content
Communication;status;subject sender recipient
CommunicationRequest;status;subject sender recipient requester
CompartmentDefinition;url name status code search
Composition;status type date author title;subject author attester.party
ConceptMap;status
Condition;subject;subject asserter
Consent;status scope category;patient
Contract
Coverage;status beneficiary payor;policyHolder subscriber beneficiary payor
CoverageEligibilityRequest;status purpose patient created insurer;patient
CoverageEligibilityResponse;status purpose patient created request outcome insurer;patient
DetectedIssue;status;patient
Device
DeviceDefinition
DeviceMetric;type category
DeviceRequest;intent code subject;subject performer
DeviceUseStatement;status subject device;subject
DiagnosticReport;status code;subject
DocumentManifest;status content;subject author recipient
DocumentReference;status content;subject author
EffectEvidenceSynthesis;status population exposure exposureAlternative outcome
Encounter;status class;subject
Endpoint;status connectionType payloadType address
EnrollmentRequest;;candidate
EnrollmentResponse
EpisodeOfCare;status patient;patient
EventDefinition;status trigger
Evidence;status exposureBackground
EvidenceVariable;status
ExampleScenario;status
ExplanationOfBenefit;status type use patient created insurer provider outcome insurance;patient payee.party
FamilyMemberHistory;status patient relationship;patient
Flag;status code subject;subject
Goal;lifecycleStatus description subject;subject
GraphDefinition;name status start
Group;type actual;member.entity
GuidanceResponse;module status
HealthcareService
ImagingStudy;status subject;subject
Immunization;status vaccineCode patient occurrence;patient
ImmunizationEvaluation;status patient targetDisease immunizationEvent doseStatus;patient
ImmunizationRecommendation;patient date recommendation;patient
ImplementationGuide;url name status packageId fhirVersion
InsurancePlan
Invoice;status;subject recipient
Library;status type
Linkage;item
List;status mode;subject source
Location
Measure;status
MeasureReport;status type measure period;subject
Media;status content;subject
Medication
MedicationAdministration;status medication subject effective;subject performer.actor
MedicationDispense;status medication;subject receiver
MedicationKnowledge
MedicationRequest;status intent medication subject;subject
MedicationStatement;status medication subject;subject
MedicinalProduct;name
MedicinalProductAuthorization
MedicinalProductContraindication
MedicinalProductIndication
MedicinalProductIngredient;role
MedicinalProductInteraction
MedicinalProductManufactured;manufacturedDoseForm quantity
MedicinalProductPackaged;packageItem
MedicinalProductPharmaceutical;administrableDoseForm routeOfAdministration
MedicinalProductUndesirableEffect
MessageDefinition;status date event
MessageHeader;event source
MolecularSequence;coordinateSystem;patient
NamingSystem;name status kind date uniqueId
NutritionOrder;status intent patient dateTime;patient
Observation;status code;subject performer
ObservationDefinition;code
OperationDefinition;name status kind code system type instance
OperationOutcome;issue
Organization
OrganizationAffiliation
Parameters
Patient;;link.other
PaymentNotice;status created payment recipient amount
PaymentReconciliation;status created paymentDate paymentAmount
Person;;link.target
PlanDefinition;status
Practitioner
PractitionerRole
Procedure;status subject;subject performer.actor
Provenance;target recorded agent;target
Questionnaire;status
QuestionnaireResponse;status;subject author
RelatedPerson;patient;patient
RequestGroup;status intent;subject action.participant
ResearchDefinition;status population
ResearchElementDefinition;status type characteristic
ResearchStudy;status
ResearchSubject;status study individual;individual
RiskAssessment;status subject;subject
RiskEvidenceSynthesis;status population outcome
Schedule;actor;actor
SearchParameter;url name status description code base type
ServiceRequest;status intent subject;subject performer
Slot;schedule status start end
Specimen;;subject
SpecimenDefinition
StructureDefinition;url name status kind abstract type
StructureMap;url name status group
Subscription;status reason criteria channel
Substance;code
SubstanceNucleicAcid
SubstancePolymer
SubstanceProtein
SubstanceReferenceInformation
SubstanceSourceMaterial
SubstanceSpecification
SupplyDelivery;;patient
SupplyRequest;item quantity;deliverTo
Task;status intent;for focus
TerminologyCapabilities;status date kind
TestReport;status testScript result
TestScript;url name status
ValueSet;status
VerificationResult;status
VisionPrescription;status created patient dateWritten prescriber lensSpecification;patient`

/** Names of the concrete resource types of FHIR R4; they are case-sensitive [PA-05, PA-07]. */
export const RESOURCE_TYPES: ReadonlySet<string> = new Set(TABLE.match(/^\w+/gm))

/** What the table says of a type. */
export interface ResourceType {
  readonly mandatory: readonly string[]
  /** Paths, by their steps. */
  readonly compartment: readonly (readonly string[])[]
}

const wordsIn = (column = ''): readonly string[] => column.match(/\S+/g) ?? []

const lineOf = (type: string): ResourceType => {
  const [, mandatory, compartment] = new RegExp(`^${type}(?:;([^;\n]*))?(?:;(.*))?$`, 'm').exec(TABLE) ?? []
  return { mandatory: wordsIn(mandatory), compartment: wordsIn(compartment).map((path) => path.split('.')) }
}

const read = new Map<string, ResourceType>()

/** What a type must have and belongs to, read when it is first asked for; `undefined` for what is no type of R4. */
export const resourceTypeOf = (type: string): ResourceType | undefined => {
  if (!RESOURCE_TYPES.has(type)) return undefined
  const known = read.get(type) ?? lineOf(type)
  read.set(type, known)
  return known
}
