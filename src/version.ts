/** Of this software, as `/metadata` tells it; a test holds it to package.json and CHANGELOG.md. */
export const VERSION = '0.4.0'
/** When it was released. */
export const VERSION_DATE = '2026-11-21'
