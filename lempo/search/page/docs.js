// /openapi.json as a page, without a script from another host.

import { $, element } from "./dom.js";

const schema = await (await fetch("/openapi.json")).json();

const named = (part) => (part?.$ref ? schema.components.schemas[part.$ref.split("/").pop()] : part);

function type(part) {
  if (part?.$ref) return part.$ref.split("/").pop();
  if (part?.anyOf) return part.anyOf.map(type).filter((each) => each !== "null").join(" or ");
  if (part?.enum) return part.enum.join(", ");
  if (part?.type === "array") return `list of ${type(part.items)}`;
  const range = ["minimum", "maximum", "maxLength"].filter((name) => part?.[name] !== undefined);
  return [part?.format === "binary" ? "file" : part?.type ?? "any", ...range.map((name) => `${name} ${part[name]}`)].join(", ");
}

function table(title, rows) {
  if (!rows.length) return [];
  const lines = rows.map(([name, part, text]) => element("tr", {}, element("td", {}, name), element("td", {}, type(part)), element("td", {}, text ?? "")));
  return [element("h3", {}, title), element("table", {}, element("tbody", {}, ...lines))];
}

const fields = (part) => Object.entries(named(part)?.properties ?? {}).map(([name, field]) => [name, field, field.description]);

for (const [path, methods] of Object.entries(schema.paths)) {
  for (const [method, operation] of Object.entries(methods)) {
    const bodies = Object.entries(operation.requestBody?.content ?? {});
    const answer = operation.responses?.["200"]?.content?.["application/json"]?.schema;
    const refusals = Object.entries(operation.responses ?? {}).filter(([status]) => status !== "200");
    $("operations").append(
      element("h2", {}, element("b", {}, method.toUpperCase()), path),
      element("p", {}, operation.description ?? operation.summary ?? ""),
      ...table("Parameters", (operation.parameters ?? []).map((each) => [each.name, each.schema, each.description ?? each.schema.description])),
      ...bodies.flatMap(([kind, { schema: body }]) => table(`Body, ${kind}`, fields(body))),
      ...table("Answer", fields(answer)),
      ...table("Refusals", refusals.map(([status, each]) => [status, each.content?.["application/json"]?.schema, each.description])),
    );
  }
}
