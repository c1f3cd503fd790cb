// Requests to the JSON API; a refusal becomes an Error with the server's words.

async function asked(address, options) {
  let response;
  try {
    response = await fetch(address, options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Error("The server does not answer. Is `lempo serve` still running?");
  }
  const body = await response.json().catch(() => null);
  if (!response.ok) throw new Error(body?.error?.message ?? `The server answers with ${response.status}.`);
  return body;
}

export const info = () => asked("/api/info");

export const row = (id) => asked(`/api/images/${encodeURIComponent(id)}`);

export function images({ where, sample, offset, limit }, signal) {
  const query = new URLSearchParams({ offset, limit });
  if (where) query.set("where", where);
  if (sample !== null && sample !== undefined) query.set("sample", sample);
  return asked(`/api/images?${query}`, { signal });
}

/** The answer to a query; `file` is an uploaded reference, or null. */
export function search(query, file, signal) {
  if (!file) {
    const headers = { "content-type": "application/json" };
    return asked("/api/search", { method: "POST", headers, body: JSON.stringify(query), signal });
  }
  const form = new FormData();
  form.set("image", file);
  for (const [name, value] of Object.entries(query)) {
    if (value !== null && value !== undefined) form.set(name, typeof value === "object" ? JSON.stringify(value) : value);
  }
  return asked("/api/search", { method: "POST", body: form, signal });
}

export const picture = (id, size) =>
  `/api/images/${encodeURIComponent(id)}/picture${size ? `?size=${size}` : ""}`;
