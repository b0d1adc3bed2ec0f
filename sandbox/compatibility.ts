/** As in `wrangler.toml`; a test compares them. */
export const COMPATIBILITY_DATE = '2026-10-01'
export const COMPATIBILITY_FLAGS = ['nodejs_compat']
