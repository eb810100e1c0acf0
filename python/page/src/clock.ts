/** Active seconds of each unit: those in which somebody moved, pressed or wrote within the last `idle` seconds. */

export class Clock {
  private readonly spent = new Map<string, number>();
  private key: string | null = null;
  private input = -Infinity;
  private counted = 0;

  /**
   * @param idle Seconds after the last input that still count.
   * @param now Seconds of a clock that never goes back.
   */
  constructor(
    private readonly idle: number,
    private readonly now: () => number = () => performance.now() / 1000,
  ) {}

  /** Go on with another unit; null when none is shown or the page is hidden. */
  show(key: string | null): void {
    this.settle();
    this.key = key;
    // Looking at a new unit follows something that was pressed.
    if (key !== null) this.input = this.counted;
  }

  /** Somebody is there. */
  touch(): void {
    this.settle();
    this.input = this.counted;
  }

  /** Return the seconds of a unit since the last call, and forget them. */
  take(key: string): number {
    this.settle();
    const seconds = this.spent.get(key) ?? 0;
    this.spent.delete(key);
    return seconds;
  }

  /** Seconds that have not been taken. */
  peek(key: string): number {
    this.settle();
    return this.spent.get(key) ?? 0;
  }

  /** Give back what could not be sent. */
  add(key: string, seconds: number): void {
    this.spent.set(key, (this.spent.get(key) ?? 0) + seconds);
  }

  private settle(): void {
    const now = this.now();
    const until = Math.min(now, this.input + this.idle);
    if (this.key !== null && until > this.counted) this.add(this.key, until - this.counted);
    this.counted = now;
  }
}
