import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { writeFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { freePort, HOST } from '../sandbox/facade.ts'
import { withDirectory } from '../test/scale/stack.ts'

const LOOKS_EVERY_MS = 20
const LOOKS = 250

/** The second is where systems put it that is not on the path of everybody. */
const PATHS = ['nginx', '/usr/sbin/nginx', '/usr/local/sbin/nginx']

/** Which program to start; `undefined` where there is none. */
export const nginxPath = (): string | undefined => PATHS.find((path) => spawnSync(path, ['-v']).status === 0)

/** Whoever is root must say that the processes which work are to be so too: another user may not read the directory. */
const user = (): string => (process.getuid?.() === 0 ? 'user root;' : '')

// Connections to the vendor are kept, and nothing is logged: as fast as a proxy is.
// https://nginx.org/en/docs/http/ngx_http_upstream_module.html#keepalive
const configuration = (port: number, origin: string, directory: string): string => `
daemon off;
${user()}
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
  upstream vendor { server ${new URL(origin).host}; keepalive 64; keepalive_requests 1000000; }
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

/** Runs work with a bare reverse proxy in front of an origin, a process of its own. @param program From `nginxPath`. */
export const withNginx = async <T>(program: string, origin: string, work: (base: string) => Promise<T>): Promise<T> =>
  withDirectory(async (directory) => {
    const port = await freePort()
    const file = `${directory}/nginx.conf`
    await writeFile(file, configuration(port, origin, directory))
    const child = spawn(program, ['-p', directory, '-e', `${directory}/error.log`, '-c', file], { stdio: 'ignore' })
    const end = (): void => void child.kill()
    // A benchmark that is broken off takes it along.
    process.once('exit', end)
    const ended = once(child, 'exit')
    try {
      for (let look = 0; !(await isListening(port)); look += 1) {
        if (child.exitCode !== null || look === LOOKS) throw new Error('nginx does not start')
        await delay(LOOKS_EVERY_MS)
      }
      return await work(`http://${HOST}:${port}`)
    } finally {
      process.off('exit', end)
      if (child.exitCode === null) end()
      await ended
    }
  })
