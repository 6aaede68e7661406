/** What the compiler infers from a description. Nothing of this file is there at run time. */

declare const types: unique symbol

/** Something that stands for a state, and for what a destination needs to load it. */
export interface Typed<State, Destination = never> {
  readonly [types]?: { readonly state: State; readonly destination: Destination }
}

/**
 * What the bytes of a description, or of a kind of field, are in JavaScript.
 *
 * @group Encoding and decoding
 */
export type StateOf<T> = T extends Typed<infer State, unknown> ? State : never

/**
 * What the destination has to have for these bytes to be loaded; `never` if nothing.
 *
 * @group Encoding and decoding
 */
export type DestinationOf<T> = T extends Typed<unknown, infer Destination> ? Destination : never

/** A field that may not be there. */
interface Uncertain {
  readonly kind: 'since' | 'when'
}

type IsNever<T> = [T] extends [never] ? true : false

// Those of the fields or subsections of a description that each line is about.
type Certain<F> = { [K in keyof F as F[K] extends Uncertain ? never : K]: F[K] }
type Possible<F> = { [K in keyof F as F[K] extends Uncertain ? K : never]: F[K] }
type WithState<F> = { [K in keyof F as IsNever<StateOf<F[K]>> extends true ? never : K]: F[K] }
type WithDestination<F> = {
  [K in keyof F as IsNever<DestinationOf<F[K]>> extends true ? never : K]: F[K]
}
/** A description without subsections is taken to have any number of them, of any name. */
type Named<S> = { [K in keyof S as string extends K ? never : K]: S[K] }

type States<F> = { readonly [K in keyof F]: StateOf<F[K]> }
type Destinations<F> = { readonly [K in keyof F]: DestinationOf<F[K]> }

/** One object type in place of an intersection, as people want to see it. */
type Flat<T> = { [K in keyof T]: T[K] }

/** An object of all fields that hold something, and of the subsections. */
export type StateOfFields<F, S> = Flat<
  States<Certain<WithState<F>>> &
    Partial<States<Possible<WithState<F>>>> &
    Partial<States<Named<S>>>
>

/** An object of all fields and subsections that need something. */
export type DestinationOfFields<F, S> =
  IsNever<keyof WithDestination<F> | keyof WithDestination<Named<S>>> extends true
    ? never
    : Flat<
        Destinations<Certain<WithDestination<F>>> &
          Partial<Destinations<Possible<WithDestination<F>>>> &
          Partial<Destinations<WithDestination<Named<S>>>>
      >

/** What each element of an array needs. */
export type EachOf<Destination> = IsNever<Destination> extends true ? never : readonly Destination[]

/** The object that a pointer leads to, though nothing in it may be needed. */
export type ObjectOf<Destination> = IsNever<Destination> extends true ? object : Destination
