import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { freePort, HOST } from '../sandbox/facade.ts'

const LOOKS_EVERY_MS = 20
const LOOKS = 250

export const hasNginx = (): boolean => spawnSync('nginx', ['-v']).status === 0

const configuration = (port: number, origin: string, directory: string): string => `
daemon off;
worker_processes 1;
pid ${directory}/pid;
error_log ${directory}/error.log;
events { worker_connections 1024; }
http {
  access_log off;
  client_body_temp_path ${directory}/body;
  proxy_temp_path ${directory}/proxy;
  fastcgi_temp_path ${directory}/fastcgi;
  uwsgi_temp_path ${directory}/uwsgi;
  scgi_temp_path ${directory}/scgi;
  keepalive_requests 1000000;
  upstream vendor { server ${new URL(origin).host}; keepalive 64; }
  server {
    listen ${HOST}:${port};
    location / { proxy_pass http://vendor; proxy_http_version 1.1; proxy_set_header Connection ""; }
  }
}
`

const isListening = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = connect(port, HOST, () => {
      socket.destroy()
      resolve(true)
    })
    socket.once('error', () => resolve(false))
  })

/** A bare reverse proxy in front of an origin. */
export const startNginx = async (origin: string): Promise<{ readonly base: string; close(): Promise<void> }> => {
  const directory = await mkdtemp(join(tmpdir(), 'bulkhead-nginx-'))
  const port = await freePort()
  const file = `${directory}/nginx.conf`
  await writeFile(file, configuration(port, origin, directory))
  const child = spawn('nginx', ['-p', directory, '-e', `${directory}/error.log`, '-c', file], { stdio: 'ignore' })
  const ended = once(child, 'exit')
  for (let look = 0; !(await isListening(port)); look += 1) {
    if (child.exitCode !== null || look === LOOKS) throw new Error('nginx does not start')
    await delay(LOOKS_EVERY_MS)
  }
  return {
    base: `http://${HOST}:${port}`,
    close: async () => {
      child.kill()
      await ended
      await rm(directory, { recursive: true, force: true })
    },
  }
}
