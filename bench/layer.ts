/** Something that lies over a Worker: `layers/<name>.js`, which takes the Worker's exports and gives others. */
export interface Layer {
  readonly name: string
  readonly options?: Readonly<Record<string, number | boolean | string>>
}
