<?php
// Undoing: each value that still is as setting up left it is as it was before.
// Part of moodle-setup.php, which says more: it runs inside Moodle, and so has Moodle's licence.
//
// SPDX-License-Identifier: GPL-3.0-or-later

declare(strict_types=1);

namespace openai_moodle_sidecar;

/** Restores each value that still is as setup left it. */
function undo(array $request): array {
    $component = "aiprovider_{$request['provider']}";
    $journal = new journal($component);
    $changes = new changes($journal, !empty($request['dry']));
    $uninstall = false;
    // Moodle changes the order itself when it disables an instance, so the order is judged first and restored last.
    $order = $journal->entries['config of core_ai provider_order'] ?? null;
    $target = $order ? order_before($order, $journal) : null;
    check_instances($journal);
    foreach (array_reverse($journal->entries) as $entry) {
        match ($entry['kind']) {
            'config' => $entry === $order || undo_config($entry, $changes),
            'instance' => undo_instance((int) $entry['of'], $changes),
            'plugin' => $uninstall = true,
            default => undo_part($entry, $changes),
        };
    }
    if ($order) {
        restore('core_ai', 'provider_order', $target, $changes);
    }
    if ($uninstall && stored(COMPONENT, 'version') !== null) {
        $changes->add('plugin ' . COMPONENT, stored(COMPONENT, 'version'), 'uninstalled');
        $changes->dry || uninstall();
    }
    $changes->dry || $journal->forget();
    return ['remove' => $uninstall, 'changes' => $changes->list, 'left' => $changes->left];
}

/** Throws where uninstalling the plugin would delete instances that setup did not make. */
function check_instances(journal $journal): void {
    $uninstalls = in_array('plugin', array_column($journal->entries, 'kind'), true);
    if (!$uninstalls || !has_instances() || !class_exists('aiprovider_sidecar\provider')) {
        return;
    }
    $instances = manager()->get_provider_instances(['provider' => 'aiprovider_sidecar\provider']);
    unset($instances[$journal->instance()]);
    if ($instances) {
        $names = implode(', ', array_map(fn(object $one): string => '"' . $one->name . '"', $instances));
        throw new \RuntimeException("other instances of the plugin would be deleted with it: $names; delete them first");
    }
}

/** Returns the order to restore: that of before or, where another hand changed it, the present one without ours. */
function order_before(array $entry, journal $journal): ?string {
    $now = (string) stored('core_ai', 'provider_order');
    if (hash('sha256', $now) === $entry['after']) {
        return $entry['before'];
    }
    $ours = (string) $journal->instance();
    return implode(',', array_filter(explode(',', $now), fn(string $one): bool => $one !== $ours));
}

function undo_config(array $entry, changes $changes): void {
    ['of' => $of, 'name' => $name, 'before' => $before] = $entry;
    $now = stored($of, $name);
    if ($now !== $before && hash('sha256', (string) $now) !== $entry['after']) {
        $changes->left[] = "$of, $name";
        return;
    }
    restore($of, $name, $before, $changes);
}

function restore(string $of, string $name, ?string $value, changes $changes): void {
    $now = stored($of, $name);
    if ($now === $value) {
        return;
    }
    $secret = in_array($name, ['token', 'apikey'], true);
    $changes->add("$of, $name", in_words($name, $now), in_words($name, $value), $secret);
    $changes->dry || store($of, $name, $now, $value, $secret);
}

function undo_instance(int $id, changes $changes): void {
    if ($instance = current_instance($id)) {
        $changes->add("instance \"$instance->name\"", 'there', 'deleted');
        if (!$changes->dry) {
            manager()->delete_provider_instance($instance);
        }
    }
}

/** Restores one value of an instance that was there before. */
function undo_part(array $entry, changes $changes): void {
    $instance = current_instance((int) $entry['of']);
    if (!$instance) {
        return;
    }
    ['kind' => $kind, 'name' => $name, 'before' => $before] = $entry;
    [$config, $actions, $enabled] = [$instance->config, $instance->actionconfig, $instance->enabled];
    $now = match ($kind) {
        'enabled' => $enabled ? '1' : '0',
        'instance config' => $config[$name] ?? null,
        'instance action' => empty($actions[$name]['enabled']) ? '0' : '1',
        'instance endpoint' => $actions[$name]['settings']['endpoint'] ?? null,
    };
    if ($now === $before) {
        return;
    }
    $what = "instance \"$instance->name\", " . ($kind === 'enabled' ? $kind : last($name));
    if (hash('sha256', (string) $now) !== $entry['after']) {
        $changes->left[] = $what;
        return;
    }
    $changes->add($what, $now, $before, in_array($name, ['token', 'apikey'], true));
    if ($changes->dry) {
        return;
    }
    if ($kind === 'enabled') {
        manager()->disable_provider_instance($instance);
        return;
    }
    if ($kind === 'instance config') {
        $config[$name] = $before;
        $config = array_filter($config, fn($value): bool => $value !== null);
    } else if ($kind === 'instance action') {
        $actions[$name]['enabled'] = false;
    } else {
        $actions[$name]['settings']['endpoint'] = $before;
    }
    manager()->update_provider_instance($instance, config: $config, actionconfig: $actions);
}

function uninstall(): void {
    global $CFG;
    require_once("$CFG->libdir/adminlib.php");
    ob_start();
    \core_plugin_manager::instance()->uninstall_plugin(COMPONENT, new \null_progress_trace());
    ob_end_clean();
}
