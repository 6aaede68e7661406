/** The types that TypeScript infers from a description. */

declare const types: unique symbol

/** Carries the type of a state, and of what a destination needs to load it. The property never exists. */
export interface Typed<State, Destination = never> {
  readonly [types]?: { readonly state: State; readonly destination: Destination }
}

/**
 * The type of the state that a description describes, or of the value of a kind of field.
 *
 * @group Encoding and decoding
 */
export type StateOf<T> = T extends Typed<infer State, unknown> ? State : never

/**
 * The type of what the destination must have to load the bytes; `never` if it needs nothing.
 *
 * @group Encoding and decoding
 */
export type DestinationOf<T> = T extends Typed<unknown, infer Destination> ? Destination : never

/** A field that may be absent. */
interface Uncertain {
  readonly kind: 'since' | 'when'
}

type IsNever<T> = [T] extends [never] ? true : false

// Each of these picks some of the fields or subsections of a description.
type Certain<F> = { [K in keyof F as F[K] extends Uncertain ? never : K]: F[K] }
type Possible<F> = { [K in keyof F as F[K] extends Uncertain ? K : never]: F[K] }
type WithState<F> = { [K in keyof F as IsNever<StateOf<F[K]>> extends true ? never : K]: F[K] }
type WithDestination<F> = {
  [K in keyof F as IsNever<DestinationOf<F[K]>> extends true ? never : K]: F[K]
}
/** Leaves out the index signature that TypeScript infers for a description without subsections. */
type Named<S> = { [K in keyof S as string extends K ? never : K]: S[K] }

type States<F> = { readonly [K in keyof F]: StateOf<F[K]> }
type Destinations<F> = { readonly [K in keyof F]: DestinationOf<F[K]> }

/** Turns an intersection into one object type, which editors show in full. */
type Flat<T> = { [K in keyof T]: T[K] }

/** The type of a state: all fields that have a value, and the subsections. */
export type StateOfFields<F, S> = Flat<
  States<Certain<WithState<F>>> &
    Partial<States<Possible<WithState<F>>>> &
    Partial<States<Named<S>>>
>

/** The type of a destination: all fields and subsections that need something from it. */
export type DestinationOfFields<F, S> =
  IsNever<keyof WithDestination<F> | keyof WithDestination<Named<S>>> extends true
    ? never
    : Flat<
        Destinations<Certain<WithDestination<F>>> &
          Partial<Destinations<Possible<WithDestination<F>>>> &
          Partial<Destinations<WithDestination<Named<S>>>>
      >

/** What an array needs from the destination: something for each element. */
export type EachOf<Destination> = IsNever<Destination> extends true ? never : readonly Destination[]

/** What a pointer needs from the destination: an object, even if no field of it needs anything. */
export type ObjectOf<Destination> = IsNever<Destination> extends true ? object : Destination
