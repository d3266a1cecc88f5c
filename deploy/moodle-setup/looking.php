<?php
// What is so in a Moodle: read for the doctor, and nothing is changed.
// Part of moodle-setup.php, which says more: it runs inside Moodle, and so has Moodle's licence.
//
// SPDX-License-Identifier: GPL-3.0-or-later

declare(strict_types=1);

namespace openai_moodle_sidecar;

/** Returns what `doctor` judges; each part is read, nothing is changed. */
function facts(): array {
    global $CFG;
    $facts = ['release' => (string) ($CFG->release ?? ''), 'branch' => (int) ($CFG->branch ?? 0)];
    $facts['writable'] = is_writable($CFG->dataroot);
    $facts['maintenance'] = !empty($CFG->maintenance_enabled);
    $facts['has_ai'] = class_exists(\core_ai\manager::class);
    $facts['pending'] = pending();
    $facts['cron_age'] = ($last = (int) get_config('tool_task', 'lastcronstart')) ? max(0, time() - $last) : null;
    $facts['plugin_installed'] = (string) stored(COMPONENT, 'version');
    $facts['set_up'] = stored(COMPONENT, JOURNAL) !== null || stored('aiprovider_openai', JOURNAL) !== null;
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
            'url' => stored($of, 'url') ?? stored($of, 'action_summarise_text_endpoint') ?? '',
            'token' => (stored($of, 'token') ?? stored($of, 'apikey') ?? '') !== '',
            'actions' => (object) array_combine($actions, array_map(fn($name) => stored($of, $name) !== '0', $actions)),
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
        if (stored($of, 'version') !== null) {
            $on = array_map(fn(string $action): bool => stored($of, $action) !== '0', $actions);
            $found[$name] = ['enabled' => stored($of, 'enabled') === '1', 'actions' => array_combine($actions, $on)];
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
    global $CFG, $DB;
    $capability = 'aiplacement/courseassist:summarise_text';
    $system = \context_system::instance();
    $allowed = get_roles_with_capability($capability, CAP_ALLOW, $system);
    $prohibited = get_roles_with_capability($capability, CAP_PROHIBIT, $system);
    $everybody = isset($prohibited[(int) ($CFG->defaultuserroleid ?? 0)]);
    $without = [];
    foreach (get_archetype_roles('student') as $role) {
        if ($everybody || !isset($allowed[$role->id]) || isset($prohibited[$role->id])) {
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
        return (string) stored($provider['component'], $name);
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
