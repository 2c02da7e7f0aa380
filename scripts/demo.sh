#!/bin/sh
# The main job from end to end on the built-in model: train once, then learn new tasks from examples.
set -eu
cd "$(dirname "$0")/.."
mkdir -p out

.venv/bin/yofo train recipes/tiny.toml --name demo
.venv/bin/yofo eval last --picture out/demo.png

cat <<'END'

None of the tasks above was trained on: what rises to the right is learnt from the context.

Next:
  . .venv/bin/activate       so that `yofo` is a command of this shell
  yofo                       the terminal app: runs, their curves, prompting
  yofo chat last             paste demonstrations of your own, then ask
  yofo recipes list          recipes for real models; `yofo recipes copy mistral` to begin with one
END
