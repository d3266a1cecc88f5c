<?php
// Files of the plugin in Moodle's folder, moved without Moodle.
// Part of moodle-setup.php, which says more: it runs inside Moodle, and so has Moodle's licence.
//
// SPDX-License-Identifier: GPL-3.0-or-later

declare(strict_types=1);

namespace openai_moodle_sidecar;

/** Puts the folder `from` at `to`, in the place of what is there. */
function place(string $from, string $to): array {
    if (is_link($to)) {
        throw new \RuntimeException("$to is a link: update the folder that it leads to, and run this again");
    }
    $new = dirname($to) . '/.' . basename($to) . '.new';
    $old = dirname($to) . '/.' . basename($to) . '.old';
    remove($new);
    remove($old);
    copy_folder($from, $new);
    if (is_dir($to) && !rename($to, $old)) {
        throw new \RuntimeException("$to cannot be replaced");
    }
    if (!rename($new, $to)) {
        is_dir($old) && rename($old, $to);
        throw new \RuntimeException("$to cannot be written");
    }
    remove($old);
    return [];
}

function copy_folder(string $from, string $to): void {
    if (!@mkdir($to, 0755)) {
        throw new \RuntimeException('no right to write in ' . dirname($to));
    }
    foreach (array_diff(scandir($from), ['.', '..']) as $name) {
        is_dir("$from/$name") ? copy_folder("$from/$name", "$to/$name")
            : copy("$from/$name", "$to/$name") && chmod("$to/$name", 0644);
    }
}

function remove(string $folder): array {
    if (is_link($folder)) {
        throw new \RuntimeException("$folder is a link, and stays");
    }
    if (is_dir($folder)) {
        foreach (array_diff(scandir($folder), ['.', '..']) as $name) {
            $path = "$folder/$name";
            is_dir($path) && !is_link($path) ? remove($path) : unlink($path);
        }
        if (!@rmdir($folder)) {
            throw new \RuntimeException("no right to remove $folder");
        }
    }
    return [];
}
