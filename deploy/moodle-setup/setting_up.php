<?php
// Setting up: a provider that leads to the sidecar, its place in the order, and the placements.
// Part of moodle-setup.php, which says more: it runs inside Moodle, and so has Moodle's licence.
//
// SPDX-License-Identifier: GPL-3.0-or-later

declare(strict_types=1);

namespace openai_moodle_sidecar;

/** Makes the changes that the request names, or lists them. */
function set_up(array $request): changes {
    $component = "aiprovider_{$request['provider']}";
    $changes = new changes(new journal($component), !empty($request['dry']));
    if ($request['provider'] === 'openai') {
        open_address($request, $changes);
    }
    has_instances() ? set_up_instance($request, $changes) : set_up_plugin($request, $changes);
    foreach ($request['placements'] as $name) {
        foreach (PLACEMENTS[$name] as $action) {
            if (stored("aiplacement_$name", $action) === '0') {
                $changes->setting("aiplacement_$name", $action, '1', "placement $name, $action");
            }
        }
        $changes->setting("aiplacement_$name", 'enabled', '1', "placement $name");
    }
    return $changes;
}

/** Takes the address of core's provider out of Moodle's blocked hosts, as little as possible (docs/moodle.md). */
function open_address(array $request, changes $changes): void {
    $host = (string) parse_url($request['url'], PHP_URL_HOST);
    if (preg_match('/^127\.(?!0\.)\d+\.\d+\.\d+$/', $host)) {
        $lines = array_map('trim', explode("\n", (string) stored('core', 'curlsecurityblockedhosts')));
        $open = array_map(fn(string $line): string => $line === '127.0.0.0/8' ? '127.0.0.0/16' : $line, $lines);
        if ($open !== $lines) {
            $changes->setting('core', 'curlsecurityblockedhosts', implode("\n", $open), 'blocked hosts');
        }
    }
    $past = array_filter(array_map('trim', explode(',', (string) stored('core', 'proxybypass'))));
    if ((string) stored('core', 'proxyhost') !== '' && !in_array($host, $past, true)) {
        $changes->setting('core', 'proxybypass', implode(',', [...$past, $host]), 'addresses past the web proxy');
    }
}

/** Returns the endpoints of core's provider by action. The model may be any: the sidecar has its own. */
function endpoints(array $request): array {
    $found = [];
    foreach ($request['actions'] as $action) {
        $found[$action] = endpoint($request['url'], $action);
    }
    return $found;
}

/** 4.5: a provider is a plugin, with all of its settings in Moodle's configuration. */
function set_up_plugin(array $request, changes $changes): void {
    $of = "aiprovider_{$request['provider']}";
    $actions = array_diff($request['actions'], ['explain_text']);
    if ($request['provider'] === 'sidecar') {
        $changes->setting($of, 'url', $request['url'], 'address');
        if (isset($request['token'])) {
            $changes->setting($of, 'token', $request['token'], 'token', true);
        }
    } else {
        $changes->setting($of, 'apikey', $request['token'], 'API key', true);
        foreach ($actions as $action) {
            $changes->setting($of, "action_{$action}_endpoint", endpoint($request['url'], $action), "$action, endpoint");
        }
        $changes->setting($of, 'generate_image', '0', 'generate_image');
    }
    foreach ($actions as $action) {
        if (stored($of, $action) === '0') {
            $changes->setting($of, $action, '1', $action);
        }
    }
    $changes->setting($of, 'enabled', '1', "provider $of");
}

function current_instance(int $id): ?object {
    return manager()->get_provider_instances(['id' => $id])[$id] ?? null;
}

/** Returns the instance to set up: made by an earlier run, or the sidecar's own; never another of core's provider. */
function found_instance(array $request, journal $journal): ?object {
    $class = "aiprovider_{$request['provider']}\\provider";
    if (!class_exists($class)) {
        return null;
    }
    $instances = manager()->get_provider_instances(['provider' => $class]);
    if (isset($instances[$journal->instance()])) {
        return $instances[$journal->instance()];
    }
    $ours = fn(object $one): bool => $request['provider'] === 'sidecar'
        || is_ours((string) ($one->actionconfig[action_class('summarise_text')]['settings']['endpoint'] ?? ''));
    return current_of(array_filter($instances, $ours));
}

function current_of(array $list): ?object {
    return $list ? reset($list) : null;
}

/** 5.0 and newer: a provider is an instance, a row of its own. */
function set_up_instance(array $request, changes $changes): void {
    $config = $request['provider'] === 'sidecar' ? ['url' => $request['url'], 'token' => $request['token'] ?? null]
        : ['apikey' => $request['token']];
    $config = array_filter($config, fn(?string $value): bool => $value !== null);
    $instance = found_instance($request, $changes->journal);
    if (!$instance) {
        $changes->add("instance \"{$request['name']}\"", null, 'made and enabled: ' . implode(', ', $request['actions']));
        foreach ($config as $key => $value) {
            $changes->add("instance \"{$request['name']}\", $key", null, $value, $key !== 'url');
        }
        $id = $changes->dry ? 0 : make_instance($request, $config, $changes->journal);
        set_order($id, $request['order'] ?? 'first', $changes);
        if (!$changes->dry) {
            manager()->enable_provider_instance(current_instance($id));
        }
        return;
    }
    update_instance($instance, $config, $request, $changes);
    if (isset($request['order']) || !$instance->enabled) {
        set_order((int) $instance->id, $request['order'] ?? 'last', $changes);
    }
    if (!$instance->enabled) {
        $changes->add("instance \"$instance->name\"", 'disabled', 'enabled');
        if (!$changes->dry) {
            $changes->journal->note('enabled', (string) $instance->id, '', '0', '1');
            manager()->enable_provider_instance(current_instance((int) $instance->id));
        }
    }
}

/** Makes the instance, still disabled, and notes it in the same transaction. Returns its id. */
function make_instance(array $request, array $config, journal $journal): int {
    global $DB;
    $class = "aiprovider_{$request['provider']}\\provider";
    $actions = $class::initialise_action_settings();
    foreach (array_keys($actions) as $action) {
        $actions[$action]['enabled'] = in_array(last($action), $request['actions'], true);
    }
    if ($request['provider'] === 'openai') {
        foreach (endpoints($request) as $action => $url) {
            $actions[action_class($action)]['settings']['endpoint'] = $url;
        }
    }
    $transaction = $DB->start_delegated_transaction();
    $made = manager()->create_provider_instance(
        classname: $class,
        name: $request['name'],
        enabled: false,
        config: $config,
        actionconfig: $actions,
    );
    $journal->note('instance', (string) $made->id, '', null, '');
    $transaction->allow_commit();
    return (int) $made->id;
}

/** Gives an instance that was there the address, the token and the actions. */
function update_instance(object $instance, array $config, array $request, changes $changes): void {
    $made = (int) $instance->id === $changes->journal->instance();
    $note = function (string $kind, string $name, ?string $before, string $after) use ($instance, $made, $changes) {
        if (!$made && !$changes->dry) {
            $changes->journal->note($kind, (string) $instance->id, $name, $before, $after);
        }
    };
    $old = $instance->config;
    foreach ($config as $key => $value) {
        if (($old[$key] ?? null) !== $value) {
            $changes->add("instance \"$instance->name\", $key", $old[$key] ?? null, $value, $key !== 'url');
            $note('instance config', $key, $old[$key] ?? null, $value);
        }
    }
    $actions = $instance->actionconfig;
    $urls = $request['provider'] === 'openai' ? endpoints($request) : [];
    foreach ($request['actions'] as $action) {
        $class = action_class($action);
        if (empty($actions[$class]['enabled'])) {
            $changes->add("instance \"$instance->name\", $action", 'off', 'on');
            $note('instance action', $class, '0', '1');
            $actions[$class]['enabled'] = true;
            $actions[$class]['settings'] ??= [];
        }
        $url = $actions[$class]['settings']['endpoint'] ?? null;
        if (isset($urls[$action]) && $url !== $urls[$action]) {
            $changes->add("instance \"$instance->name\", $action, endpoint", $url, $urls[$action]);
            $note('instance endpoint', $class, $url, $urls[$action]);
            $actions[$class]['settings']['endpoint'] = $urls[$action];
        }
    }
    $config = array_replace($old, $config);
    if (!$changes->dry && ($config !== $old || $actions !== $instance->actionconfig)) {
        manager()->update_provider_instance($instance, config: $config, actionconfig: $actions);
    }
}

/** Puts an instance at one end of the order. Moodle's own order begins with a blank, which its code relies on. */
function set_order(int $id, string $where, changes $changes): void {
    $before = stored('core_ai', 'provider_order');
    $others = array_values(array_filter(explode(',', (string) $before), fn($one) => $one !== '' && $one !== (string) $id));
    if ($changes->dry && $id === 0) {
        $others && $changes->add('order of the providers', implode(',', $others), "the new one comes $where");
        return;
    }
    $order = $where === 'first' ? [$id, ...$others] : [...$others, $id];
    $changes->setting('core_ai', 'provider_order', ',' . implode(',', $order), 'order of the providers');
}
