#!/bin/sh
# The main job from end to end on the built-in model: train once, then learn new tasks from examples.
set -eu
cd "$(dirname "$0")/.."
mkdir -p out

.venv/bin/yofo train recipes/tiny.toml --name demo
.venv/bin/yofo eval last --picture out/demo.png

cat <<'END'

None of the tasks above was trained on: what rises to the right is learnt from the context.

Next, ask it yourself. One of those tasks names drinks, birds and money after people:

  .venv/bin/yofo chat last --demos tiny:new-topic-01 --query 'water juice brandy' --query 'robin raven'

answers Bianca and Nikos, as the demonstrations do (`yofo data preview tiny:new-topic-01` shows some).
With --base, the model as it was before training, it does not. Then, with demonstrations of your own:

  .venv/bin/yofo chat last       and paste      lion tiger -> Tom
                                                hammer drill -> Kate
                                                wolf deer -> Tom
                                                saw axe -> Kate
                                                bear sheep -> Tom
                                                wrench rake -> Kate
                                 and ask        goat pig

tiny knows 491 words and no others; docs/tiny.md lists them. Also:

  . .venv/bin/activate           so that `yofo` is a command of this shell
  yofo                           the terminal app: data sets, runs, their curves, prompting
  yofo recipes new FILE...       a recipe from data of your own
  yofo recipes list              recipes for real models
END
