/** What the server has not acknowledged, in the browser's IndexedDB: it survives a reload, and a server that is away. */

import type { Draft, DraftStore } from "./outbox.ts";
import { keyOf } from "./types.ts";

const TABLE = "drafts";

export class BrowserDrafts implements DraftStore {
  private readonly opened: Promise<IDBDatabase>;

  /**
   * @param query Its id; drafts of other queries are not seen.
   * @param annotator Whose drafts.
   */
  constructor(
    private readonly query: string,
    private readonly annotator: string,
  ) {
    this.opened = new Promise((resolve, reject) => {
      const request = indexedDB.open("albench-annotate", 1);
      request.onupgradeneeded = () => request.result.createObjectStore(TABLE);
      request.onsuccess = () => resolve(request.result);
      request.onerror = () => reject(request.error);
    });
    // Private windows may have no database; then a reload loses what is not sent, and nothing else.
    this.opened.catch(() => undefined);
  }

  async put(draft: Draft): Promise<void> {
    const table = (await this.opened).transaction(TABLE, "readwrite").objectStore(TABLE);
    await done(table.put(draft, this.place(keyOf(draft))));
  }

  async remove(key: string): Promise<void> {
    const table = (await this.opened).transaction(TABLE, "readwrite").objectStore(TABLE);
    await done(table.delete(this.place(key)));
  }

  async all(): Promise<Draft[]> {
    const start = this.place(`${this.annotator}/`);
    const table = (await this.opened).transaction(TABLE).objectStore(TABLE);
    return done<Draft[]>(table.getAll(IDBKeyRange.bound(start, `${start}\uffff`)));
  }

  private place(key: string): string {
    return `${this.query}/${key}`;
  }
}

function done<T>(request: IDBRequest): Promise<T> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result as T);
    request.onerror = () => reject(request.error);
  });
}
