const BULK = 'http://hl7.org/fhir/uv/bulkdata'

/** What a fake vendor says of itself at `/metadata`. */
export const capabilityStatement = (options: {
  readonly title: string
  readonly fhirBase: string
  readonly tokenUrl: string
  readonly types: readonly string[]
  readonly levels: readonly ('system' | 'patient' | 'group')[]
}) => {
  const { title, fhirBase, tokenUrl, types, levels } = options
  const operation = (level: 'system' | 'patient' | 'group', name: string) =>
    levels.includes(level) ? { operation: [{ name: 'export', definition: `${BULK}/OperationDefinition/${name}` }] } : {}
  const resources = [...new Set([...types, 'Group'])].map((type) => ({
    type,
    ...(type === 'Group'
      ? { interaction: [{ code: 'read' }, { code: 'search-type' }], ...operation('group', 'group-export') }
      : {}),
    ...(type === 'Patient' ? operation('patient', 'patient-export') : {}),
  }))
  return {
    resourceType: 'CapabilityStatement',
    status: 'active',
    date: '2026-11-01',
    kind: 'instance',
    instantiates: [`${BULK}/CapabilityStatement/bulk-data`],
    software: { name: title },
    implementation: { description: `${title} (sandbox)`, url: fhirBase },
    fhirVersion: '4.0.1',
    format: ['json'],
    rest: [
      {
        mode: 'server',
        security: {
          service: [
            { coding: [{ system: 'http://terminology.hl7.org/CodeSystem/restful-security-service', code: 'SMART-on-FHIR' }] },
          ],
          extension: [
            {
              url: 'http://fhir-registry.smarthealthit.org/StructureDefinition/oauth-uris',
              extension: [{ url: 'token', valueUri: tokenUrl }],
            },
          ],
        },
        resource: resources,
        ...operation('system', 'export'),
      },
    ],
  }
}

/** SMART configuration of a backend-services server. */
export const smartConfiguration = (tokenUrl: string, methods: readonly string[], algs: readonly string[]) => ({
  token_endpoint: tokenUrl,
  token_endpoint_auth_methods_supported: methods,
  token_endpoint_auth_signing_alg_values_supported: algs,
  grant_types_supported: ['client_credentials'],
  scopes_supported: ['system/*.read', 'system/*.rs'],
  capabilities: ['client-confidential-asymmetric', 'permission-v1', 'permission-v2'],
  code_challenge_methods_supported: ['S256'],
})
