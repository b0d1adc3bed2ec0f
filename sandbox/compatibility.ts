/** As in `wrangler.toml`; a test compares them. */
export const COMPATIBILITY_DATE = '2026-10-01'
