import type { EngineEvent, StepEventMetadata } from "@pulumi/pulumi/automation/events.js";
import type { KubeObject } from "../render/manifests.ts";
import { type Change, changeOf, nameOfStep, nameOfUrn, objectOf } from "./changes.ts";

/** A resource with a running operation. */
export interface Waiting {
  title: string;
  /** When it began, in milliseconds since 1970. */
  since: number;
  /** The latest status from its provider or the cluster. */
  why: string;
  object?: KubeObject;
}

/**
 * Whether the engine warns of an object that was not ready when it compared it with the cluster, as after a restart of
 * its node. It then waits for the object, and reports an error if that does not become ready. The warning has lines of
 * the log of the object's pods, with passwords in them.
 */
const isUnready = (warning: string): boolean => warning.startsWith("Refreshed resource is in an unhealthy state:");

/** A failure's text with `instead` in place of what the engine says about each pod, which can have lines of its log. */
export const withoutPods = (text: string, instead: string): string =>
  text.replace(/(\[Pod [^\]]+\]: ).*?(?=\n\s*\* |$)/gs, `$1${instead}`);

/** The progress of an update, a preview or a destruction, from the engine's events. */
export class Progress {
  /** Changes that were made, or would be, in the order of the events. */
  readonly changes: Change[] = [];
  /** The engine's errors, with the resource if the error has one. */
  readonly problems: { of?: string; message: string }[] = [];
  /** Kubernetes objects whose operation failed. */
  readonly failed: KubeObject[] = [];
  /** The engine's warnings, without those of objects that it then waits for. */
  readonly warnings = new Set<string>();
  /** Running operations, the oldest first. */
  readonly waiting = new Map<string, Waiting>();
  /** The number of resources per operation, once the engine has finished. */
  counts: Record<string, number | undefined> = {};
  private readonly seen = new Set<number>();
  private readonly names = new Map<string, string>();
  private compared = 0;
  private finished = 0;
  private awaited = 0;
  private readonly said: string[] = [];
  private readonly total: number;

  private readonly isExpected: (warning: string) => boolean;

  /** `total`: the approximate number of resources. Expected warnings are left out. */
  constructor(total: number, isExpected: (warning: string) => boolean = () => false) {
    this.total = total;
    this.isExpected = isExpected;
  }

  take({ sequence, ...event }: EngineEvent): void {
    // The SDK can deliver an event twice: with a pulumi before 3.205 it reads them from a file.
    if (this.seen.has(sequence)) return;
    this.seen.add(sequence);
    const { resourcePreEvent, resOutputsEvent, resOpFailedEvent, diagnosticEvent, summaryEvent } = event;
    if (resourcePreEvent) this.begin(resourcePreEvent.metadata);
    if (resOutputsEvent) this.end(resOutputsEvent.metadata);
    if (resOpFailedEvent) {
      const { metadata } = resOpFailedEvent;
      this.waiting.delete(metadata.urn);
      this.failed.push(...[objectOf(metadata) ?? []].flat());
    }
    if (diagnosticEvent) this.hear(diagnosticEvent);
    if (summaryEvent) this.counts = this.counted(summaryEvent.resourceChanges);
  }

  /** What is running now, in a line. */
  line(now = Date.now()): string {
    if (this.finished === 0 && this.compared > 0)
      return `comparing with the cluster, ${this.compared} of ${Math.max(this.total, this.compared)}`;
    if (this.finished === 0) return "starting the program";
    const counts = `${this.finished} of ${Math.max(this.total, this.finished)}`;
    const waited = [...this.waiting.values()].map(
      ({ title, since, why }) => `${title} for ${Math.round((now - since) / 1000)} s${why && ` (${why})`}`,
    );
    const more = waited.length > 3 ? `, and ${waited.length - 3} more` : "";
    return waited.length > 0 ? `${counts}; waiting for ${waited.slice(0, 3).join(", ")}${more}` : counts;
  }

  /** The program's last lines of output, for a failure without another explanation. */
  get lastWords(): string[] {
    return this.said.slice(-5);
  }

  /** The engine's count, in which an object that was only waited for is unchanged. */
  private counted({ update = 0, same = 0, ...others }: Record<string, number | undefined>) {
    return { ...others, update: update - this.awaited, same: same + this.awaited };
  }

  private begin(metadata: StepEventMetadata): void {
    this.names.set(metadata.urn, nameOfStep(metadata));
    const change = changeOf(metadata);
    if (!change) return;
    const title = change.fate === "delete" ? `deletion of ${change.title}` : change.title;
    const object = objectOf(metadata);
    this.waiting.set(metadata.urn, { title, since: Date.now(), why: "", ...(object && { object }) });
  }

  private end(metadata: StepEventMetadata): void {
    this.waiting.delete(metadata.urn);
    if (metadata.op === "refresh") {
      this.compared++;
      return;
    }
    this.finished++;
    const change = changeOf(metadata);
    // Not ready when the engine looked, as after a restart of its node: the engine waits for it and calls that an update.
    if (change?.fate === "update" && change.fields.length === 0) this.awaited++;
    else if (change) this.changes.push(change);
  }

  private hear({ urn, severity, ephemeral, message }: NonNullable<EngineEvent["diagnosticEvent"]>): void {
    const text = message.trim();
    if (!text) return;
    const waiting = urn && this.waiting.get(urn);
    const of = urn && (this.names.get(urn) ?? nameOfUrn(urn));
    // A status, which the engine would overwrite. That of a pod can have lines of its log, with passwords in them.
    if (ephemeral) {
      if (waiting && !text.startsWith("[Pod ")) waiting.why = text.replace(/^\[\d+\/\d+\] /, "");
    } else if (severity === "error") this.problems.push({ ...(of && { of }), message: text });
    else if (severity === "warning" && !isUnready(text) && !this.isExpected(text))
      this.warnings.add(of ? `${of}: ${text}` : text);
    else if (severity === "info#err") this.said.push(text);
  }
}
