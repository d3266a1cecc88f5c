<?php
// Changes of Moodle's configuration, each noted so that it can be undone.
// Part of moodle-setup.php, which says more: it runs inside Moodle, and so has Moodle's licence.
//
// SPDX-License-Identifier: GPL-3.0-or-later

declare(strict_types=1);

namespace openai_moodle_sidecar;

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
        $now = stored($of, $name);
        if ($now === $value) {
            return;
        }
        $this->add($what, in_words($name, $now), in_words($name, $value), $secret);
        if (!$this->dry) {
            $this->journal->note('config', $of, $name, $now, $value);
            store($of, $name, $now, $value, $secret);
            if (stored($of, $name) !== $value) {
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
function stored(string $of, string $name): ?string {
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

/** Returns the endpoint of core's provider for an action. */
function endpoint(string $url, string $action): string {
    return rtrim($url, '/') . "/v1/chat/completions?action=$action";
}
