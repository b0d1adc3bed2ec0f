import type { Level } from '../fhir/kickoff-params.ts'
import type { Source } from './source.ts'

/** Whose data an export is about. */
export interface Target {
  readonly level: Level
  /** At the group level. */
  readonly groupId?: string
}

const LEVELS: readonly Level[] = ['system', 'patient', 'group']

/**
 * Where the vendor is asked for an export: at the level of the client, or at one that holds the same patients and that the vendor has, or
 * does better.
 *
 * @param hasPatients The client lists patients.
 * @returns `undefined` for what this source cannot serve.
 * @see Bulk Data Kick-off, Endpoint [KO-01]
 */
export const askedOf = (source: Source, { level, groupId }: Target, hasPatients: boolean): Target | undefined => {
  const { levels, params, patientList, prefers } = source.dialect.supports
  const hasPatientLevel = levels.patient !== undefined && (patientList === undefined || hasPatients)
  switch (level) {
    case 'system':
      return levels.system && { level }
    case 'patient':
      if (hasPatientLevel) return { level }
      return levels.group && source.allPatientsGroup !== undefined
        ? { level: 'group', groupId: source.allPatientsGroup }
        : undefined
    case 'group': {
      const isEverybody = groupId !== undefined && groupId === source.allPatientsGroup
      // A vendor that takes the list need not export everybody for a few.
      const picksPatients = hasPatients && levels.patient === 'POST' && params.includes('patient')
      if (isEverybody && hasPatientLevel && (prefers === 'patient' || picksPatients)) return { level: 'patient' }
      return levels.group && { level, ...(groupId === undefined ? {} : { groupId }) }
    }
  }
}

/** The levels that a source can serve, in one way or another: what is advertised, and nothing else is taken [CS-02]. */
export const levelsOf = (source: Source): Level[] => LEVELS.filter((level) => askedOf(source, { level }, true) !== undefined)

/** Whether a level is served for listed patients only. */
export const needsPatients = (source: Source, level: Level): boolean =>
  askedOf(source, { level }, true) !== undefined && askedOf(source, { level }, false) === undefined
