#!/usr/bin/env bash
# p-queue 9.3.5 and bottleneck 2.19.5: a timeout on tasks lifts the limit on how
# many run at once.
#
# Guess:     with a concurrency of 1 no two tasks ever run at once. A task that is
#            over its time is reported as such, and its place is free when it
#            has really ended.
# Behaviour: the timeout only stops the waiting. The task goes on, its place is
#            given to the next one at once, and with tasks of 400 ms under a
#            timeout of 100 ms three run side by side in a queue of one. Without
#            the timeout it is one at a time.
# Matters:   the limit fails just when it is needed: a slow provider makes
#            calls time out, and each one that does lets another on top.
#
# Output seen:
#   p-queue     no timeout: 1 at once, 3 of 3 fulfilled
#   p-queue     100 ms:     3 at once, 0 of 3 fulfilled
#   bottleneck  no timeout: 1 at once, 3 of 3 fulfilled
#   bottleneck  100 ms:     3 at once, 0 of 3 fulfilled
set -eu

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm init --yes >/dev/null
npm install --silent --no-audit --no-fund --save-exact p-queue@9.3.5 bottleneck@2.19.5

cat >check.mjs <<'JS'
import Bottleneck from 'bottleneck';
import PQueue from 'p-queue';

async function run(name, label, add) {
  let running = 0;
  let most = 0;
  let ended = 0;
  const task = async () => {
    most = Math.max(most, ++running);
    await new Promise((resolve) => setTimeout(resolve, 400));
    running -= 1;
    ended += 1;
  };
  const results = await Promise.allSettled([add(task), add(task), add(task)]);
  while (ended < 3) await new Promise((resolve) => setTimeout(resolve, 20));
  const fulfilled = results.filter((result) => result.status === 'fulfilled').length;
  const line = `${most} at once, ${fulfilled} of 3 fulfilled`;
  console.log(`${name.padEnd(11)} ${label.padEnd(11)} ${line}`);
  return line;
}

const free = new PQueue({ concurrency: 1 });
const timed = new PQueue({ concurrency: 1, timeout: 100 });
const neck = new Bottleneck({ maxConcurrent: 1 });
const seen = [
  await run('p-queue', 'no timeout:', (task) => free.add(task)),
  await run('p-queue', '100 ms:', (task) => timed.add(task)),
  await run('bottleneck', 'no timeout:', (task) => neck.schedule(task)),
  await run('bottleneck', '100 ms:', (task) => neck.schedule({ expiration: 100 }, task)),
];
const one = '1 at once, 3 of 3 fulfilled';
const all = '3 at once, 0 of 3 fulfilled';
if (seen.join() !== [one, all, one, all].join()) {
  console.error('changed: the limit and the timeout go together in another way');
  process.exit(1);
}
JS
node check.mjs
