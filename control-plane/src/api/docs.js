// Shows /openapi.json as a page, with nothing but what the control plane itself serves.
"use strict";

const element = (name, text, className) => {
  const made = document.createElement(name);
  if (text !== undefined) made.textContent = text;
  if (className) made.className = className;
  return made;
};

// A schema as a short example: references followed, recursion cut at depth 8.
const example = (schema, all, depth = 0) => {
  if (!schema || depth > 8) return "...";
  if (schema.$ref) return example(all[schema.$ref.split("/").pop()], all, depth + 1);
  if (schema.example !== undefined) return schema.example;
  for (const list of [schema.oneOf, schema.anyOf]) {
    if (list) return example(list.find((one) => one.type !== "null") ?? list[0], all, depth + 1);
  }
  if (schema.allOf) return Object.assign({}, ...schema.allOf.map((one) => example(one, all, depth + 1)));
  const type = Array.isArray(schema.type) ? schema.type.find((one) => one !== "null") : schema.type;
  if (schema.enum) return schema.enum.join(" | ");
  if (type === "array") return [example(schema.items, all, depth + 1)];
  if (type === "object" || schema.properties) {
    const entries = Object.entries(schema.properties ?? {});
    return Object.fromEntries(entries.map(([name, one]) => [name, example(one, all, depth + 1)]));
  }
  return schema.description ? `${type}: ${schema.description}` : (type ?? "any");
};

const show = (title, schema, all, into) => {
  into.append(element("h4", title));
  into.append(element("pre", JSON.stringify(example(schema, all), null, 2)));
};

const operation = (method, path, op, all) => {
  const box = element("details");
  const head = element("summary");
  head.append(element("span", method.toUpperCase(), "method"), element("code", path));
  const scope = op.security?.[0]?.api_key?.[0];
  head.append(element("span", scope ?? "no key", "scope"));
  box.append(head, element("p", op.summary ?? ""), element("p", op.description ?? ""));
  if (op.parameters?.length) {
    const table = element("table");
    for (const parameter of op.parameters) {
      const row = element("tr");
      row.append(element("td", parameter.name), element("td", parameter.in), element("td", parameter.description ?? ""));
      table.append(row);
    }
    box.append(table);
  }
  const body = op.requestBody?.content?.["application/json"]?.schema;
  if (body) show("Body", body, all, box);
  for (const [status, answer] of Object.entries(op.responses ?? {})) {
    const schema = Object.values(answer.content ?? {})[0]?.schema;
    if (status !== "default" && schema) show(`${status} ${answer.description}`, schema, all, box);
    else if (status !== "default") box.append(element("h4", `${status} ${answer.description}`));
  }
  return box;
};

fetch("/openapi.json").then((answer) => answer.json()).then((api) => {
  document.getElementById("about").textContent = api.info.description ?? "";
  const into = document.getElementById("operations");
  const groups = new Map();
  for (const [path, item] of Object.entries(api.paths)) {
    for (const [method, op] of Object.entries(item)) {
      const tag = op.tags?.[0] ?? "other";
      if (!groups.has(tag)) groups.set(tag, []);
      groups.get(tag).push(operation(method, path, op, api.components?.schemas ?? {}));
    }
  }
  for (const [tag, boxes] of groups) into.append(element("h2", tag), ...boxes);
});
