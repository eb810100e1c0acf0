/** Tabs of one annotator in one browser tell each other of themselves and of what they save. */

type Message =
  | { kind: "hello" | "here" | "bye"; from: string }
  | { kind: "saved"; from: string; key: string; version: number };

export class Tabs {
  private readonly me = crypto.getRandomValues(new Uint32Array(4)).join("-");
  private readonly others = new Set<string>();
  private readonly channel: BroadcastChannel;

  constructor(
    name: string,
    private readonly alone: (alone: boolean) => void,
    saved: (key: string, version: number) => void,
  ) {
    this.channel = new BroadcastChannel(name);
    this.channel.onmessage = ({ data }: MessageEvent<Message>) => {
      if (data.kind === "saved") {
        saved(data.key, data.version);
        return;
      }
      if (data.kind === "bye") this.others.delete(data.from);
      else this.others.add(data.from);
      if (data.kind === "hello") this.say("here");
      this.alone(this.others.size === 0);
    };
    this.say("hello");
    addEventListener("pagehide", () => this.say("bye"));
    addEventListener("pageshow", (event) => {
      if (event.persisted) this.say("hello");
    });
  }

  saved(key: string, version: number): void {
    this.channel.postMessage({ kind: "saved", from: this.me, key, version } satisfies Message);
  }

  private say(kind: "hello" | "here" | "bye"): void {
    this.channel.postMessage({ kind, from: this.me } satisfies Message);
  }
}
