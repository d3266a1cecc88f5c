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

/** What undo needs: each value as it was before the first setup, and a hash of what setup made of it. */
final class journal {
    /** @var array<string, array{kind: string, of: string, name: string, before: ?string, after: string}> */
    public array $entries;

    public function __construct(private readonly string $component) {
        $this->entries = json_decode((string) get_config($component, JOURNAL), true) ?: [];
    }

    /** Notes a change that is about to be made; the value before the first one counts. */
    public function note(string $kind, string $of, string $name, ?string $before, string $after): void {
        $key = "$kind of $of $name";
        if (isset($this->entries[$key])) {
            $before = $this->entries[$key]['before'];
        }
        $after = hash('sha256', $after);
        unset($this->entries[$key]);
        $this->entries[$key] = compact('kind', 'of', 'name', 'before', 'after');
        set_config(JOURNAL, json_encode($this->entries), $this->component);
    }

    /** Returns the id of the instance that setup made, 0 for none. */
    public function instance(): int {
        foreach ($this->entries as $entry) {
            if ($entry['kind'] === 'instance') {
                return (int) $entry['of'];
            }
        }
        return 0;
    }

    public function forget(): void {
        $this->entries = [];
        unset_config(JOURNAL, $this->component);
    }
}

/** Changes that a run makes, or only lists. */
final class changes {
    /** @var list<array{what: string, before: string, after: string}> */
    public array $list = [];
    /** @var list<string> Values that another hand has changed since, and that undo leaves alone. */
    public array $left = [];

    public function __construct(public readonly journal $journal, public readonly bool $dry) {
    }

    /** Adds a line; a secret is shown as set or not set. */
    public function add(string $what, ?string $before, ?string $after, bool $secret = false): void {
        $shown = fn(?string $text): string => match (true) {
            $text === null || $text === '' => 'not set',
            $secret => 'set',
            default => $text,
        };
        $before = $shown($before);
        $after = $shown($after);
        if ($secret && $before === $after) {
            $after = 'another';
        }
        $this->list[] = compact('what', 'before', 'after');
    }

    /** Sets a value of Moodle's configuration where it has another one. */
    public function setting(string $of, string $name, string $value, string $what, bool $secret = false): void {
        $now = current($of, $name);
        if ($now === $value) {
            return;
        }
        $this->add($what, in_words($name, $now), in_words($name, $value), $secret);
        if (!$this->dry) {
            $this->journal->note('config', $of, $name, $now, $value);
            store($of, $name, $now, $value, $secret);
            if (current($of, $name) !== $value) {
                throw new \RuntimeException("config.php of this Moodle fixes $name of $of: change it there");
            }
        }
    }
}

/** Returns a switch as on or off, and any other value as it is; an action without a value is on. */
function in_words(string $name, ?string $value): ?string {
    return match (true) {
        $name === 'enabled' => $value === '1' ? 'on' : 'off',
        $name === 'generate_image' || in_array($name, ACTIONS, true) => $value === '0' ? 'off' : 'on',
        default => $value,
    };
}

/** Returns a value of Moodle's configuration, null where there is none. */
function current(string $of, string $name): ?string {
    $found = get_config($of, $name);
    return $found === false || $found === null ? null : (string) $found;
}

/** Writes a value, or removes it for null, with a line in Moodle's log of changes. */
function store(string $of, string $name, ?string $before, ?string $value, bool $secret): void {
    $plugin = $of === 'core' ? null : $of;
    if ($value === null) {
        unset_config($name, $plugin);
    } else {
        set_config($name, $value, $plugin);
    }
    $secret ? add_to_config_log($name, '********', '********', $plugin)
        : add_to_config_log($name, $before, $value, $plugin);
    \core_plugin_manager::reset_caches();
}

function action_class(string $action): string {
    return "core_ai\\aiactions\\$action";
}

/** Returns whether this Moodle has provider instances (5.0 and newer). */
function has_instances(): bool {
    return method_exists(\core_ai\manager::class, 'create_provider_instance');
}

function manager(): object {
    return \core\di::get(\core_ai\manager::class);
}

/** Returns Moodle's address of the sidecar for an action: of core's provider, which knows endpoints only. */
function endpoint(string $url, string $action): string {
    return rtrim($url, '/') . "/v1/chat/completions?action=$action";
}

// Looking.

/** Returns what `doctor` judges; each part is read, nothing is changed. */
function facts(): array {
    global $CFG;
    $facts = ['release' => (string) ($CFG->release ?? ''), 'branch' => (int) ($CFG->branch ?? 0)];
    $facts['writable'] = is_writable($CFG->dataroot);
    $facts['maintenance'] = !empty($CFG->maintenance_enabled);
    $facts['has_ai'] = class_exists(\core_ai\manager::class);
    $facts['pending'] = pending();
    $facts['cron_age'] = ($last = (int) get_config('tool_task', 'lastcronstart')) ? max(0, time() - $last) : null;
    $facts['plugin_installed'] = (string) current(COMPONENT, 'version');
    $facts['set_up'] = current(COMPONENT, JOURNAL) !== null || current('aiprovider_openai', JOURNAL) !== null;
    if ($facts['has_ai']) {
        $facts['providers'] = providers();
        $facts['placements'] = (object) placements();
        $facts += people() + students() + courses();
        $facts['reach'] = reach($facts['providers']);
    }
    return $facts;
}

/** Returns the components whose code is newer or older than the database. */
function pending(): array {
    global $CFG;
    $version = null;
    require("$CFG->dirroot/version.php");
    $found = (string) $version === (string) $CFG->version ? [] : ['core'];
    $waiting = [
        \core_plugin_manager::PLUGIN_STATUS_NEW,
        \core_plugin_manager::PLUGIN_STATUS_UPGRADE,
        \core_plugin_manager::PLUGIN_STATUS_DOWNGRADE,
    ];
    foreach (\core_plugin_manager::instance()->get_plugins() as $plugins) {
        foreach ($plugins as $plugin) {
            if (in_array($plugin->get_status(), $waiting, true)) {
                $found[] = $plugin->component;
            }
        }
    }
    return $found;
}

/** Returns every provider in the order in which Moodle tries them. */
function providers(): array {
    $found = [];
    if (has_instances()) {
        foreach (manager()->get_sorted_providers() as $provider) {
            $actions = array_map(fn(array $action): bool => (bool) ($action['enabled'] ?? false), $provider->actionconfig);
            $urls = array_map(fn(array $action) => $action['settings']['endpoint'] ?? null, $provider->actionconfig);
            $found[] = described($provider->get_name(), $provider->name, (int) $provider->id, $provider) + [
                'enabled' => (bool) $provider->enabled,
                'url' => (string) ($provider->config['url'] ?? $urls[action_class('summarise_text')] ?? ''),
                'token' => !empty($provider->config['token'] ?? $provider->config['apikey'] ?? ''),
                'actions' => (object) array_combine(array_map('openai_moodle_sidecar\last', array_keys($actions)), $actions),
            ];
        }
        return $found;
    }
    foreach (\core_plugin_manager::instance()->get_plugins_of_type('aiprovider') as $plugin) {
        $of = $plugin->component;
        $class = "\\$of\\provider";
        if (!class_exists($class)) {
            continue;
        }
        $provider = new $class();
        $actions = array_map('openai_moodle_sidecar\last', $provider->get_action_list());
        $found[] = described($of, $plugin->displayname, 0, $provider) + [
            'enabled' => (bool) $plugin->is_enabled(),
            'url' => current($of, 'url') ?? current($of, 'action_summarise_text_endpoint') ?? '',
            'token' => (current($of, 'token') ?? current($of, 'apikey') ?? '') !== '',
            'actions' => (object) array_combine($actions, array_map(fn($name) => current($of, $name) !== '0', $actions)),
        ];
    }
    return $found;
}

function described(string $component, string $name, int $id, object $provider): array {
    $configured = (bool) $provider->is_provider_configured();
    return compact('component', 'name', 'id', 'configured');
}

function last(string $class): string {
    return substr($class, (int) strrpos("\\$class", '\\'));
}

function placements(): array {
    $found = [];
    foreach (PLACEMENTS as $name => $actions) {
        $of = "aiplacement_$name";
        if (current($of, 'version') !== null) {
            $on = array_map(fn(string $action): bool => current($of, $action) !== '0', $actions);
            $found[$name] = ['enabled' => current($of, 'enabled') === '1', 'actions' => array_combine($actions, $on)];
        }
    }
    return $found;
}

/** Returns how many people there are, and how many have not accepted Moodle's AI policy. */
function people(): array {
    global $CFG, $DB;
    $who = 'FROM {user} u WHERE u.deleted = 0 AND u.suspended = 0 AND u.confirmed = 1 AND u.id <> ?';
    $guest = [(int) $CFG->siteguest];
    $refused = "$who AND NOT EXISTS (SELECT 1 FROM {ai_policy_register} p WHERE p.userid = u.id)";
    return [
        'people' => (int) $DB->count_records_sql("SELECT COUNT(1) $who", $guest),
        'without_policy' => (int) $DB->count_records_sql("SELECT COUNT(1) $refused", $guest),
    ];
}

/** Returns the roles of students that may not have a summary, and how many places override that right. */
function students(): array {
    global $DB;
    $capability = 'aiplacement/courseassist:summarise_text';
    $system = \context_system::instance();
    $allowed = get_roles_with_capability($capability, CAP_ALLOW, $system);
    $prohibited = get_roles_with_capability($capability, CAP_PROHIBIT, $system);
    $without = [];
    foreach (get_archetype_roles('student') as $role) {
        if (!isset($allowed[$role->id]) || $prohibited) {
            $without[] = $role->shortname;
        }
    }
    $where = 'capability = ? AND permission < 0 AND contextid <> ?';
    return [
        'roles_without' => $without,
        'overrides' => (int) $DB->count_records_select('role_capabilities', $where, [$capability, $system->id]),
    ];
}

/** Returns how many courses and modules have AI switched off, a matter of 5.1 and newer. */
function courses(): array {
    global $DB;
    $found = ['courses' => 0, 'courses_off' => 0, 'modules_off' => 0];
    if (!isset($DB->get_columns('course')['enableaitools'])) {
        return $found;
    }
    $found['courses'] = (int) $DB->count_records_select('course', 'id <> ?', [SITEID]);
    $found['courses_off'] = (int) $DB->count_records_select('course', 'enableaitools = 0', []);
    $where = 'enabledaiactions IS NOT NULL';
    $rows = $DB->get_recordset_select('course_modules', $where, [], '', 'id, enableaitools, enabledaiactions');
    foreach ($rows as $row) {
        $on = \core_ai\manager::get_enabled_actions_in_course_module($row);
        $found['modules_off'] += in_array(action_class('summarise_text'), $on, true) ? 0 : 1;
    }
    $rows->close();
    return $found;
}

/** Calls the sidecar as each provider that leads to it would, at an address that costs nothing. */
function reach(array $providers): array {
    $found = [];
    foreach ($providers as $provider) {
        $plugin = $provider['component'] === COMPONENT;
        if ($plugin || ($provider['component'] === 'aiprovider_openai' && is_ours($provider['url']))) {
            $base = preg_replace('~/*(/v1/chat/completions|/chat/completions|/v1|/ai)?/*(\?.*)?$~D', '', $provider['url']);
            $found[] = ['name' => $provider['name']] + called($base, secret_of($provider), $plugin);
        }
    }
    return $found;
}

/** Returns whether an endpoint of core's provider has the sidecar's parameter. */
function is_ours(string $url): bool {
    return str_contains($url, '?action=');
}

function secret_of(array $provider): string {
    $name = $provider['component'] === COMPONENT ? 'token' : 'apikey';
    if (!has_instances()) {
        return (string) current($provider['component'], $name);
    }
    $instance = current_instance($provider['id']);
    return (string) ($instance?->config[$name] ?? '');
}

function called(string $base, string $token, bool $ours): array {
    $found = ['url' => $base, 'status' => 0, 'error' => '', 'provider' => ''];
    if ($base === '') {
        return ['error' => 'no address'] + $found;
    }
    if (!$ours && (new \core\files\curl_security_helper())->url_is_blocked($base)) {
        return ['error' => 'blocked'] + $found;
    }
    $client = $ours ? new \core\http_client(['ignoresecurity' => true]) : \core\di::get(\core\http_client::class);
    $options = ['http_errors' => false, 'allow_redirects' => false, 'connect_timeout' => 5, 'timeout' => 10];
    $options += $ours ? ['proxy' => ''] : [];
    $headers = $token === '' ? [] : ['headers' => ['Authorization' => "Bearer $token"]];
    try {
        $response = $client->request('GET', "$base/v1/models", $options + $headers);
        $found['status'] = $response->getStatusCode();
        $body = json_decode((string) $response->getBody(), true);
        $found['error'] = (string) ($body['error']['code'] ?? (isset($body['data']) ? '' : 'not the sidecar'));
        $ready = json_decode((string) $client->request('GET', "$base/ready", $options)->getBody(), true);
        $found['provider'] = (string) ($ready['checks']['provider'] ?? '');
    } catch (\GuzzleHttp\Exception\GuzzleException) {
        $found['error'] = 'no connection';
    }
    return $found;
}

// Setting up.

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
            if (current("aiplacement_$name", $action) === '0') {
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
        $lines = array_map('trim', explode("\n", (string) current('core', 'curlsecurityblockedhosts')));
        $open = array_map(fn(string $line): string => $line === '127.0.0.0/8' ? '127.0.0.0/16' : $line, $lines);
        if ($open !== $lines) {
            $changes->setting('core', 'curlsecurityblockedhosts', implode("\n", $open), 'blocked hosts');
        }
    }
    $past = array_filter(array_map('trim', explode(',', (string) current('core', 'proxybypass'))));
    if ((string) current('core', 'proxyhost') !== '' && !in_array($host, $past, true)) {
        $changes->setting('core', 'proxybypass', implode(',', [...$past, $host]), 'addresses past the web proxy');
    }
}

/** Returns the texts of core's provider, by action: endpoint, and the model, which the sidecar replaces. */
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
        if (current($of, $action) === '0') {
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
    $before = current('core_ai', 'provider_order');
    $others = array_values(array_filter(explode(',', (string) $before), fn($one) => $one !== '' && $one !== (string) $id));
    if ($changes->dry && $id === 0) {
        $others && $changes->add('order of the providers', implode(',', $others), "the new one comes $where");
        return;
    }
    $order = $where === 'first' ? [$id, ...$others] : [...$others, $id];
    $changes->setting('core_ai', 'provider_order', ',' . implode(',', $order), 'order of the providers');
}

// Undoing.

/** Restores each value that still is as setup left it. */
function undo(array $request): array {
    $component = "aiprovider_{$request['provider']}";
    $journal = new journal($component);
    $changes = new changes($journal, !empty($request['dry']));
    $uninstall = false;
    // Moodle changes the order itself when it disables an instance, so the order is judged first and restored last.
    $order = $journal->entries['config of core_ai provider_order'] ?? null;
    $target = $order ? order_before($order, $journal) : null;
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
    if ($uninstall && current(COMPONENT, 'version') !== null) {
        $changes->add('plugin ' . COMPONENT, current(COMPONENT, 'version'), 'uninstalled');
        $changes->dry || uninstall();
    }
    $changes->dry || $journal->forget();
    return ['remove' => $uninstall, 'changes' => $changes->list, 'left' => $changes->left];
}

/** Returns the order to restore: that of before or, where another hand changed it, the present one without ours. */
function order_before(array $entry, journal $journal): ?string {
    $now = (string) current('core_ai', 'provider_order');
    if (hash('sha256', $now) === $entry['after']) {
        return $entry['before'];
    }
    $ours = (string) $journal->instance();
    return implode(',', array_filter(explode(',', $now), fn(string $one): bool => $one !== $ours));
}

function undo_config(array $entry, changes $changes): void {
    ['of' => $of, 'name' => $name, 'before' => $before] = $entry;
    $now = current($of, $name);
    if ($now !== $before && hash('sha256', (string) $now) !== $entry['after']) {
        $changes->left[] = "$of, $name";
        return;
    }
    restore($of, $name, $before, $changes);
}

function restore(string $of, string $name, ?string $value, changes $changes): void {
    $now = current($of, $name);
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

// Files: the plugin's folder, without Moodle.

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

// The program.

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
} catch (\Throwable $error) {
    $where = $error::class === 'RuntimeException' ? '' : ' (' . basename($error->getFile()) . ':' . $error->getLine() . ')';
    reply(['error' => $error->getMessage() . $where]);
}
