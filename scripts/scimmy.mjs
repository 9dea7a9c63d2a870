// A SCIM server over maps, on loopback, for tests: node scimmy.mjs PORT TOKEN
import { randomUUID } from "node:crypto";
import express from "express";
import SCIMMY from "scimmy";
import SCIMMYRouters from "scimmy-routers";

const [port, token] = process.argv.slice(2);
const users = new Map();
const groups = new Map();
const now = () => new Date().toISOString();
const keep = (map, resource, data) => {
  const id = resource.id ?? randomUUID();
  const known = map.get(id);
  if (resource.id && !known) throw new SCIMMY.Types.Error(404, null, `Resource ${id} not found`);
  if (map === users) {
    for (const [other, it] of users) {
      if (other !== id && it.userName.toLowerCase() === data.userName.toLowerCase()) {
        throw new SCIMMY.Types.Error(409, "uniqueness", `userName ${data.userName} is taken`);
      }
    }
  }
  const created = known?.meta.created ?? now();
  const kept = { ...JSON.parse(JSON.stringify(data)), id, meta: { created, lastModified: now() } };
  map.set(id, kept);
  return kept;
};
const find = (map, resource) => {
  if (!resource.id) return resource.filter ? resource.filter.match([...map.values()]) : [...map.values()];
  const it = map.get(resource.id);
  if (!it) throw new SCIMMY.Types.Error(404, null, `Resource ${resource.id} not found`);
  return it;
};
const drop = (map, resource) => {
  if (!map.delete(resource.id)) throw new SCIMMY.Types.Error(404, null, `Resource ${resource.id} not found`);
};
for (const [type, map] of [[SCIMMY.Resources.User, users], [SCIMMY.Resources.Group, groups]]) {
  SCIMMY.Resources.declare(type, {
    ingress: (resource, data) => keep(map, resource, data),
    egress: (resource) => find(map, resource),
    degress: (resource) => drop(map, resource),
    extensions: type === SCIMMY.Resources.User ? [{ schema: SCIMMY.Schemas.EnterpriseUser, required: false }] : [],
  });
}
const app = express();
app.use("/scim", new SCIMMYRouters({
  type: "bearer",
  docUri: "https://example.com/",
  handler: (request) => {
    if (request.header("Authorization") !== `Bearer ${token}`) throw new Error("the token is not known");
    return "tests";
  },
}));
app.listen(Number(port), "127.0.0.1", () => console.log("ready"));
