// SPDX-License-Identifier: LGPL-2.1-or-later
// Checks Python files with ruff's own build for node: ruff.mjs MODULE-FOLDER FILE...
// The rules come from standard input, as JSON. For scripts/check-python.

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

const [folder, ...files] = process.argv.slice(2);
const { Workspace, PositionEncoding } = createRequire(folder + "/")("@astral-sh/ruff-wasm-nodejs");
const rules = JSON.parse(readFileSync(0, "utf8"));
const workspace = new Workspace(rules, PositionEncoding.Utf32);
let problems = 0;

for (const file of files) {
    for (const found of workspace.check(readFileSync(file, "utf8"))) {
        const { row, column } = found.start_location;
        console.log(`${file}:${row}:${column}: ${found.code} ${found.message}`);
        problems++;
    }
}
console.log(`ruff ${Workspace.version()}: ${problems} problems in ${files.length} files`);
process.exit(problems > 0 ? 1 : 0);
