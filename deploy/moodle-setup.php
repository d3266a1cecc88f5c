<?php
// Sets up a Moodle for the sidecar, undoes that, or looks at it: `php moodle-setup.php < request.json`.
// The commands `openai-moodle-sidecar moodle setup` and `doctor --moodle=PATH` start it, once for each step, as a user
// who may read Moodle's config.php. Request and reply are JSON; the token comes in the request and is in no reply.
//
// This file runs inside Moodle and calls Moodle's functions, and so has Moodle's licence, not the sidecar's: it comes
// with the checkout, and is neither in the wheel nor in the image. The sidecar starts it as a program of its own.
//
// This program is free software: you can redistribute it and/or modify it under the terms of the GNU General Public
// License as published by the Free Software Foundation, either version 3 of the License, or (at your option) any later
// version. This program is distributed in the hope that it will be useful, but WITHOUT ANY WARRANTY; without even the
// implied warranty of MERCHANTABILITY or FITNESS FOR A PARTICULAR PURPOSE. See the GNU General Public License for more
// details: moodle/aiprovider_sidecar/COPYING, or <https://www.gnu.org/licenses/>.
//
// SPDX-License-Identifier: GPL-3.0-or-later

declare(strict_types=1);

namespace openai_moodle_sidecar;

/** Mark before the line of the reply: Moodle and its plugins may write lines of their own (RFC 7464). */
const MARK = "\x1e";
const ACTIONS = ['generate_text', 'summarise_text', 'explain_text'];
const PLACEMENTS = [
    'courseassist' => ['summarise_text', 'explain_text'],
    'editor' => ['generate_text'],
];
/** Config that holds what `undo` restores, under the provider's component. */
const JOURNAL = 'sidecar_setup';
const COMPONENT = 'aiprovider_sidecar';

/** Writes the reply, past every output buffer of Moodle's. */
function reply(array $reply): never {
    fwrite(STDOUT, "\n" . MARK . json_encode((object) $reply, JSON_INVALID_UTF8_SUBSTITUTE | JSON_UNESCAPED_SLASHES) . "\n");
    exit(0);
}

require(__DIR__ . '/moodle-setup/changes.php');
require(__DIR__ . '/moodle-setup/looking.php');
require(__DIR__ . '/moodle-setup/setting_up.php');
require(__DIR__ . '/moodle-setup/undoing.php');
require(__DIR__ . '/moodle-setup/files.php');

if (PHP_SAPI !== 'cli') {
    exit(1);
}
define('CLI_SCRIPT', true);
$request = json_decode(stream_get_contents(STDIN), true);
if (!is_array($request) || !isset($request['do'])) {
    fwrite(STDERR, "The request on standard input is no JSON object.\n");
    exit(2);
}
$request += ['provider' => 'sidecar', 'actions' => ACTIONS, 'placements' => [], 'name' => 'AI sidecar', 'dry' => false];
try {
    if ($request['do'] === 'place') {
        reply(place($request['from'], $request['to']));
    }
    if ($request['do'] === 'remove') {
        reply(remove($request['to']));
    }
    ob_start();
    require($request['root'] . '/config.php');
    require_once("$CFG->libdir/clilib.php");
    \core\session\manager::set_user(get_admin());
    $found = [];
    if ($request['do'] === 'installing') {
        (new journal(COMPONENT))->note('plugin', COMPONENT, '', null, '');
    } else if ($request['do'] === 'setup') {
        $changes = set_up($request);
        $found = ['changes' => $changes->list];
    } else if ($request['do'] === 'undo') {
        $found = undo($request);
    } else {
        $found = ['facts' => facts()];
    }
    reply($found);
} catch (\dml_exception $error) {
    // Its message may hold what was to be written.
    reply(['error' => 'the database refused: ' . $error::class . " ($error->errorcode)"]);
} catch (\Throwable $error) {
    $where = $error::class === 'RuntimeException' ? '' : ' (' . basename($error->getFile()) . ':' . $error->getLine() . ')';
    reply(['error' => $error->getMessage() . $where]);
}
