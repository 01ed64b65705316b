#!/usr/bin/env bash
# Make src/cryopick/web/static/vendor/ again from published packages, pinned. Needs Node and npm; nobody who uses or tests
# cryopick does. One bundle for the user interface, since an import map would have to stand inline, which our policy forbids.
set -euo pipefail
OUT="$(cd "$(dirname "$0")/.." && pwd)/src/cryopick/web/static/vendor"
WORK="$(mktemp -d)"
trap 'rm -rf "$WORK"' EXIT
cd "$WORK"
npm init -y >/dev/null
npm install --silent --ignore-scripts \
  preact@11.2.0 @preact/signals@2.11.4 @preact/signals-core@1.14.5 htm@3.1.1 esbuild@0.28.2
cat >entry.js <<'JS'
import { h } from "preact";
import htm from "htm";
export { h, render, Fragment } from "preact";
export { useEffect, useLayoutEffect, useRef, useState, useMemo, useCallback } from "preact/hooks";
export { signal, computed, effect, batch, untracked, useSignal, useComputed, useSignalEffect } from "@preact/signals";
export const html = htm.bind(h);
JS
mkdir -p "$OUT"
node_modules/@esbuild/*/bin/esbuild entry.js --bundle --format=esm --minify --target=es2022 --legal-comments=none \
  --log-level=warning --outfile="$OUT/ui.js"
for name in preact htm; do cp "node_modules/$name/LICENSE" "$OUT/LICENSE-$name.txt"; done
cp node_modules/@preact/signals/LICENSE "$OUT/LICENSE-signals.txt"
(cd "$OUT" && sha256sum ui.js >SHA256SUMS)
