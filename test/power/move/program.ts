import type { Program } from '../guest/index.ts'

/** The guest's program. Where one of the hosts is papr in real time, its guests have to leave KVM_RUN often. */
export const program: Program = process.argv.includes('--leaving') ? 'leaving watch' : 'watch'
