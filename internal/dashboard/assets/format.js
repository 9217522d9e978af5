// Numbers as people read them. The server writes them in the same way
// (internal/termui), so that nothing jumps when a page comes to life.

const units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];

/** A number of bytes, rounded down, so that a part never looks like the whole. */
export function bytes(n) {
  let unit = 0;
  while (n >= 1024 && unit < units.length - 1) {
    n /= 1024;
    unit++;
  }
  const digits = unit > 0 && n < 100 ? 1 : 0;
  const whole = Math.floor(n * 10 ** digits) / 10 ** digits;
  return whole.toFixed(digits) + units[unit];
}

/** A number of bytes a second, nothing if there are none. */
export const rate = (n) => (n > 0 ? bytes(n) + "/s" : "");

/** Seconds in their two largest units; "" if nobody can tell. */
export function duration(s) {
  if (!(s > 0)) return "";
  const two = (n) => String(n).padStart(2, "0");
  const whole = Math.floor;
  if (s < 60) return `${Math.ceil(s)}s`;
  if (s < 3600) return `${whole(s / 60)}m${two(whole(s % 60))}s`;
  if (s < 86400) return `${whole(s / 3600)}h${two(whole(s / 60) % 60)}m`;
  return s < 86400000 ? `${whole(s / 86400)}d${two(whole(s / 3600) % 24)}h` : "over 1000d";
}

/** A whole number with its thousands apart. */
export const count = (n) => n.toLocaleString("en");
