import { decrementer } from './decrementer.ts'
import { failingLoad } from './failing-load.ts'
import { hotPlug } from './hot-plug.ts'
import { move } from './moves.ts'
import { registersBesideModel, rounding } from './registers.ts'
import { times } from './times.ts'
import type { Promised } from './trial.ts'

/** What the library promises, in the order in which it is tried: the times first, since only one call is the first. */
export const promises: readonly Promised[] = [
  { name: 'times of save and load', try: times },
  { name: 'registers as in the model', try: registersBesideModel },
  { name: 'rounding of TB_OFFSET', try: rounding },
  {
    name: 'advance, nearest',
    try: (trial) => move({ downtime: 'advance', rounding: 'nearest' }, trial),
  },
  { name: 'advance, up', try: (trial) => move({ downtime: 'advance', rounding: 'up' }, trial) },
  {
    name: 'freeze, nearest',
    try: (trial) => move({ downtime: 'freeze', rounding: 'nearest' }, trial),
  },
  { name: 'freeze, up', try: (trial) => move({ downtime: 'freeze', rounding: 'up' }, trial) },
  { name: 'freeze, align', try: (trial) => move({ downtime: 'freeze', align: true }, trial) },
  { name: 'hot-plug', try: hotPlug },
  { name: 'a load that fails', try: failingLoad },
  { name: 'decrementers, advance', try: (trial) => decrementer('advance', trial) },
  { name: 'decrementers, freeze', try: (trial) => decrementer('freeze', trial) },
]

/** How many of them move a guest for the time that the caller chose. */
export const WAYS_OF_MOVING = 5
