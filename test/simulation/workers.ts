/** Stands in for the platform's base class of objects. */
export class DurableObject<Env> {
  protected readonly ctx: unknown
  protected readonly env: Env

  constructor(state: unknown, env: Env) {
    this.ctx = state
    this.env = env
  }
}
