/** Images and labels as they come from the server, a few kept, so that the next unit is there when it is wanted. */

import type { Api } from "./api.ts";

const KEPT = 4;

export class Images {
  private readonly kept = new Map<string, Promise<ArrayBuffer>>();

  constructor(private readonly api: Api) {}

  /** The slab around a unit. */
  slab(rank: number, channel: number): Promise<ArrayBuffer> {
    const key = `${rank}/${channel}`;
    const image = this.kept.get(key) ?? this.api.slab(rank, channel);
    this.kept.delete(key);
    this.kept.set(key, image);
    image.catch(() => this.kept.delete(key));
    for (const old of [...this.kept.keys()].slice(0, -KEPT)) this.kept.delete(old);
    return image;
  }
}
