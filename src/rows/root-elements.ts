import { resourceTypeOf } from '../fhir/resource-types.ts'

/** Elements at the root of a resource that it must have, a choice by the name that all its forms share; none for an unknown type [PA-08]. */
export const mandatoryElementsOf = (type: string): readonly string[] => resourceTypeOf(type)?.mandatory ?? []

/** Generated from the definitions of the resources; a test compares them. https://hl7.org/fhir/R4/resourcelist.html */
const CHOICES = `
  abatement age asNeeded born code created deceased doseNumber effective event identified item legallyBinding
  manufacturer medication module multipleBirth occurred occurrence onset performed product quantity reported seriesDoses
  serviced source start statusReason subject target timing topic value`

/** Names of elements that come in several forms, `value` for `valueQuantity`. */
export const CHOICE_ELEMENTS: ReadonlySet<string> = new Set(CHOICES.trim().split(/\s+/))
