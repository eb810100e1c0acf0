/** Requests to the page's own server. The token comes from the address' fragment, which no server or log sees. */

import type { AnnotatorProgress, LabelledUnit, Query, Save, Unit, Verdict, Version } from "./types.ts";

/** The server answered, and refused. */
export class Refused extends Error {
  constructor(
    readonly status: number,
    message: string,
    readonly body: Record<string, unknown>,
  ) {
    super(message);
  }
}

/** No answer: the network or the server is away. */
export class Offline extends Error {}

export class Api {
  constructor(private readonly token: string) {}

  query(): Promise<Query> {
    return this.json("query");
  }

  progress(): Promise<{ annotators?: AnnotatorProgress[]; agreement?: unknown } & Record<string, unknown>> {
    return this.json("progress");
  }

  unit(rank: number, annotator?: string): Promise<LabelledUnit> {
    return this.json(`units/${rank}${by(annotator)}`);
  }

  versions(rank: number, annotator?: string): Promise<Version[]> {
    return this.json(`units/${rank}/versions${by(annotator)}`);
  }

  version(rank: number, version: number, annotator?: string): Promise<{ labels: string }> {
    return this.json(`units/${rank}/versions/${version}${by(annotator)}`);
  }

  save(rank: number, save: Save, leaving = false): Promise<Unit> {
    return this.json(`units/${rank}`, "PUT", save, leaving);
  }

  review(rank: number, review: { annotator: string; base: number; verdict: Verdict; remark: string }): Promise<Unit> {
    return this.json(`units/${rank}/review`, "POST", review);
  }

  slab(rank: number, channel: number): Promise<ArrayBuffer> {
    return this.ask(`units/${rank}/image?channel=${channel}`).then((answer) => answer.arrayBuffer());
  }

  image(index: number, channel: number): Promise<ArrayBuffer> {
    return this.ask(`cases/${index}/image?channel=${channel}`).then((answer) => answer.arrayBuffer());
  }

  private async json<T>(path: string, method = "GET", body?: unknown, leaving = false): Promise<T> {
    const answer = await this.ask(path, method, body, leaving);
    return (await answer.json()) as T;
  }

  private async ask(path: string, method = "GET", body?: unknown, leaving = false): Promise<Response> {
    const headers: Record<string, string> = { Authorization: `Bearer ${this.token}` };
    if (body !== undefined) headers["Content-Type"] = "application/json";
    let answer: Response;
    try {
      answer = await fetch(`./api/${path}`, {
        method,
        headers,
        keepalive: leaving,
        cache: "no-store",
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      });
    } catch {
      throw new Offline("the server does not answer");
    }
    if (answer.ok) return answer;
    const problem = (await answer.json().catch(() => ({}))) as Record<string, unknown>;
    const message = typeof problem["error"] === "string" ? problem["error"] : `the server answered ${answer.status}`;
    // A proxy without its server behind it answers like that.
    if (answer.status >= 502 && answer.status <= 504) throw new Offline(message);
    throw new Refused(answer.status, message, problem);
  }
}

function by(annotator?: string): string {
  return annotator === undefined ? "" : `?annotator=${encodeURIComponent(annotator)}`;
}

export function tokenOf(fragment: string): string | null {
  return new URLSearchParams(fragment.replace(/^#/, "")).get("token");
}
