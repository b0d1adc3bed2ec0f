import type { MiddlewareHandler } from 'hono'
import { cors } from 'hono/cors'
import { configOf, type Config } from '../config.ts'
import { ExportError } from '../errors.ts'
import type { App } from './context.ts'

/** What a browser app needs to see of our answers, besides what any origin may: it could not follow an export otherwise. */
const EXPOSED_HEADERS = [
  'Accept-Ranges',
  'Content-Disposition',
  'Content-Encoding',
  'Content-Location',
  'Content-Range',
  'ETag',
  'Expires',
  'Link',
  'Preference-Applied',
  'Retry-After',
  'WWW-Authenticate',
  'X-Export-Status',
  'X-Progress',
]
const REQUEST_HEADERS = ['Accept', 'Authorization', 'Content-Type', 'If-None-Match', 'If-Range', 'Prefer', 'Range']
/** How long a browser need not ask again what it may send. */
const PREFLIGHT_SECONDS = 600

const SAFE_HEADERS = {
  'X-Content-Type-Options': 'nosniff',
  'Content-Security-Policy': "default-src 'none'; frame-ancestors 'none'; sandbox",
  'Referrer-Policy': 'no-referrer',
  'Strict-Transport-Security': 'max-age=31536000; includeSubDomains',
} as const
const CACHED_BY_NOBODY = 'no-store'

const made = new WeakSet<Response>()

/** An answer that is made with what `safeHeaders` would add: adding it costs a status poll a quarter of its time. */
export const safeResponse = (
  body: ReadableStream<Uint8Array> | null,
  status: number,
  headers: Readonly<Record<string, string>>,
): Response => {
  const response = new Response(body, {
    status,
    headers: { ...SAFE_HEADERS, 'Cache-Control': CACHED_BY_NOBODY, ...headers },
  })
  made.add(response)
  return response
}

/**
 * Headers of every answer. What is served is data for programs: no browser is to guess its type, frame it, run it, or tell where it
 * came from; and nothing is kept by caches unless it says itself that it may be.
 */
export const safeHeaders: MiddlewareHandler<App> = async (c, next) => {
  await next()
  if (made.has(c.res)) return
  // `c.header` would make a new response for each.
  const { headers } = c.res
  for (const [name, value] of Object.entries(SAFE_HEADERS)) headers.set(name, value)
  if (!headers.has('Cache-Control')) headers.set('Cache-Control', CACHED_BY_NOBODY)
}

const handlers = new WeakMap<Config, MiddlewareHandler<App>>()

/** None of these where there are no such origins, or while the configuration is broken: that is told by those who need it. */
const originsOf = (config: Config): readonly string[] => {
  try {
    return config.settings.corsOrigins
  } catch (error) {
    if (error instanceof ExportError) return []
    throw error
  }
}

const handlerOf = (config: Config): MiddlewareHandler<App> | undefined => {
  const known = handlers.get(config)
  if (known) return known
  const origins = originsOf(config)
  if (origins.length === 0) return undefined
  const handler = cors({
    origin: [...origins],
    allowMethods: ['GET', 'HEAD', 'POST', 'DELETE'],
    allowHeaders: REQUEST_HEADERS,
    exposeHeaders: EXPOSED_HEADERS,
    maxAge: PREFLIGHT_SECONDS,
  })
  handlers.set(config, handler)
  return handler
}

/** Lets the configured origins call from a browser. Tokens travel in a header, so no cookie is ever allowed along. */
export const crossOrigin: MiddlewareHandler<App> = async (c, next) => {
  const handler = handlerOf(configOf(c.env))
  return handler ? handler(c, next) : next()
}
