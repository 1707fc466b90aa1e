import type { CanvasChanges, CanvasData, CanvasPatch, MQTTIntegrationConfig, ReadCanvas } from '../index.js';

/** The canvas that both edit. */
export const REPOSITORY = 'demo';
export const CANVAS = 'roadmap';

/** One edit that a peer is told to make. */
export type Edit = { patch: CanvasPatch } | { write: { id: string; words: string; at: 'start' | 'end' } };

/** What the conductor tells a peer. */
export type Order =
  | { order: 'start'; name: string; config: MQTTIntegrationConfig }
  | { order: 'create'; canvas: CanvasData }
  | { order: 'edit'; number: number; edit: Edit }
  | { order: 'burst'; patches: CanvasPatch[] }
  | { order: 'catch-up' }
  | { order: 'compare' }
  | { order: 'delete' }
  | { order: 'stop' };

/** What a peer tells the conductor. Times are in milliseconds of the clock that all processes of a machine share. */
export type Report =
  | { report: 'started'; peerId: string }
  | { report: 'created' }
  | { report: 'edited'; number: number; at: number }
  | { report: 'saw'; at: number; changes: CanvasChanges }
  | { report: 'burst-done'; startedAt: number; doneAt: number }
  /** `bytes`: how many the broker has sent so far. */
  | { report: 'caught-up'; at: number; answered: boolean; peers: number; bytes: number }
  | { report: 'deleted' }
  /** `followed`: whether the copy that it kept from events alone equals what it reads. */
  | { report: 'state'; at: number; canvas: ReadCanvas; followed: boolean }
  | { report: 'failed'; message: string };

/** Milliseconds of the clock that all processes of a machine share. */
export function sharedClock(): number {
  return Number(process.hrtime.bigint() / 1000n) / 1000;
}
