import type { EngineEvent, StepEventMetadata } from "@pulumi/pulumi/automation/events.js";
import type { KubeObject } from "../render/manifests.ts";
import { type Change, changeOf, nameOfStep, nameOfUrn, objectOf } from "./changes.ts";

/** A resource that is being worked on. */
export interface Waiting {
  title: string;
  /** When it began, in milliseconds since 1970. */
  since: number;
  /** What its provider says of it, or the cluster. */
  why: string;
  object?: KubeObject;
}

/** What an update, a preview or a destruction does, by the engine's events. */
export class Progress {
  /** What was changed, or would be, in the order of the events. */
  readonly changes: Change[] = [];
  /** What the engine says is wrong, with the resource that it says it of. */
  readonly problems: { of?: string; message: string }[] = [];
  /** Kubernetes objects that could not be brought to where they should be. */
  readonly failed: KubeObject[] = [];
  readonly warnings = new Set<string>();
  /** What is being worked on, the oldest first. */
  readonly waiting = new Map<string, Waiting>();
  /** Each operation with its number of resources, once the engine has come to its end. */
  counts: Record<string, number | undefined> = {};
  private readonly seen = new Set<number>();
  private readonly names = new Map<string, string>();
  private compared = 0;
  private finished = 0;
  private readonly said: string[] = [];
  private readonly total: number;

  private readonly isExpected: (warning: string) => boolean;

  /** About `total` resources are to be worked on; warnings that are expected are left out. */
  constructor(total: number, isExpected: (warning: string) => boolean = () => false) {
    this.total = total;
    this.isExpected = isExpected;
  }

  take({ sequence, ...event }: EngineEvent): void {
    // The SDK can hand one over twice: of a pulumi before 3.205 it reads them from a file.
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
    if (summaryEvent) this.counts = summaryEvent.resourceChanges;
  }

  /** What happens right now, in a line. */
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

  /** What the program wrote, for a failure that nothing else explains. */
  get lastWords(): string[] {
    return this.said.slice(-5);
  }

  private begin(metadata: StepEventMetadata): void {
    this.names.set(metadata.urn, nameOfStep(metadata));
    const change = changeOf(metadata);
    if (!change) return;
    const title = change.fate === "delete" ? `${change.title} to go` : change.title;
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
    this.changes.push(...[changeOf(metadata) ?? []].flat());
  }

  private hear({ urn, severity, ephemeral, message }: NonNullable<EngineEvent["diagnosticEvent"]>): void {
    const text = message.trim();
    if (!text) return;
    const waiting = urn && this.waiting.get(urn);
    const of = urn && (this.names.get(urn) ?? nameOfUrn(urn));
    if (ephemeral && waiting) waiting.why = text.replace(/^\[\d+\/\d+\] /, "");
    else if (severity === "error") this.problems.push({ ...(of && { of }), message: text });
    else if (severity === "warning" && !this.isExpected(text)) this.warnings.add(of ? `${of}: ${text}` : text);
    else if (severity === "info#err") this.said.push(text);
  }
}
