<?php
// A stand-in of Moodle for deploy/moodle-setup.php: its functions and classes, by their names, over a JSON file. The
// shape is that of 5.x, with provider instances, or with `"shape": "4.5"` in the file that of 4.5, without.

declare(strict_types=1);

namespace {
    define('CAP_ALLOW', 1);
    define('CAP_PROHIBIT', -1000);
    define('SITEID', 1);

    final class site {
        public static array $data;

        public static function open(string $root): void {
            global $CFG, $DB;
            self::$data = json_decode(file_get_contents("$root/site.json"), true);
            $CFG = (object) [
                'dataroot' => $root,
                'dirroot' => is_dir("$root/public") ? "$root/public" : $root,
                'libdir' => (is_dir("$root/public") ? "$root/public" : $root) . '/lib',
                'release' => self::$data['release'],
                'branch' => self::$data['branch'],
                'version' => '2025100600',
                'siteguest' => 1,
            ];
            $DB = new database();
        }

        public static function keep(): void {
            global $CFG;
            file_put_contents("$CFG->dataroot/site.json", json_encode(self::$data));
        }
    }

    function get_config(string $plugin, string $name) {
        return site::$data['forced'][$plugin][$name] ?? site::$data['config'][$plugin][$name] ?? false;
    }

    function set_config(string $name, $value, ?string $plugin = null): void {
        site::$data['config'][$plugin ?? 'core'][$name] = (string) $value;
        site::keep();
    }

    function unset_config(string $name, ?string $plugin = null): void {
        unset(site::$data['config'][$plugin ?? 'core'][$name]);
        site::$data['config'] = array_filter(site::$data['config']);
        site::keep();
    }

    function add_to_config_log(string $name, $old, $new, ?string $plugin): void {
        site::$data['log'][] = [$plugin, $name, $old, $new];
        site::keep();
    }

    function get_admin(): object {
        return (object) ['id' => 2];
    }

    function get_roles_with_capability(string $capability, int $permission, object $context): array {
        return $permission === CAP_ALLOW && site::$data['allowed'] ? [5 => (object) ['id' => 5]] : [];
    }

    function get_archetype_roles(string $archetype): array {
        return [5 => (object) ['id' => 5, 'shortname' => $archetype]];
    }

    final class context_system {
        public int $id = 1;

        public static function instance(): self {
            return new self();
        }
    }

    final class null_progress_trace {
    }

    final class plugin_info {
        public string $displayname;

        public function __construct(public string $component) {
            $this->displayname = $component;
        }

        public function is_enabled(): bool {
            return get_config($this->component, 'enabled') === '1';
        }

        public function get_status(): string {
            global $CFG;
            $file = "$CFG->dirroot/ai/provider/" . substr($this->component, 11) . '/version.php';
            $plugin = new stdClass();
            is_file($file) && require($file);
            $known = get_config($this->component, 'version');
            return match (true) {
                !is_file($file) => 'missing',
                $known === false => 'new',
                $known !== (string) $plugin->version => 'upgrade',
                default => 'uptodate',
            };
        }
    }

    final class core_plugin_manager {
        const PLUGIN_STATUS_NEW = 'new';
        const PLUGIN_STATUS_UPGRADE = 'upgrade';
        const PLUGIN_STATUS_DOWNGRADE = 'downgrade';

        public static function instance(): self {
            return new self();
        }

        public static function reset_caches(): void {
        }

        public function get_plugins(): array {
            global $CFG;
            $found = [];
            foreach (glob("$CFG->dirroot/ai/provider/*", GLOB_ONLYDIR) as $folder) {
                $found[] = new plugin_info('aiprovider_' . basename($folder));
            }
            return ['aiprovider' => $found];
        }

        public function get_plugins_of_type(string $type): array {
            return $this->get_plugins()[$type];
        }

        public function uninstall_plugin(string $component, null_progress_trace $progress): void {
            unset(site::$data['config'][$component]);
            $ours = fn(array $row): bool => !str_starts_with($row['provider'], $component);
            site::$data['instances'] = array_filter(site::$data['instances'], $ours);
            site::keep();
        }
    }

    final class transaction {
        public function allow_commit(): void {
        }
    }

    final class database {
        public function count_records_sql(string $sql, array $parameters): int {
            return site::$data[str_contains($sql, 'ai_policy_register') ? 'without_policy' : 'people'];
        }

        public function count_records_select(string $table, string $where, array $parameters): int {
            return site::$data['counts'][$table] ?? 0;
        }

        public function get_columns(string $table): array {
            return site::$data['shape'] === '4.5' ? [] : ['enableaitools' => true];
        }

        public function get_recordset_select(): object {
            return new class extends ArrayIterator {
                public function close(): void {
                }
            };
        }

        public function start_delegated_transaction(): transaction {
            return new transaction();
        }
    }

    site::open($moodle);
}

namespace core {
    final class di {
        public static function get(string $class): object {
            return new $class();
        }
    }

    /** Answers as the sidecar does that site.json describes. */
    final class http_client {
        public function __construct(private array $settings = []) {
        }

        public function request(string $method, string $url, array $options): object {
            $there = \site::$data['sidecar'];
            if (!str_starts_with($url, "$there[url]/")) {
                throw new \GuzzleHttp\Exception\ConnectException();
            }
            $token = substr($options['headers']['Authorization'] ?? '', 7);
            $body = match (true) {
                str_ends_with($url, '/ready') => ['checks' => ['provider' => $there['provider']]],
                $token === $there['token'] => ['data' => [['id' => 'demo']]],
                default => ['error' => ['code' => 'unauthorized']],
            };
            return new class (json_encode($body)) {
                public function __construct(private string $body) {
                }

                public function getStatusCode(): int {
                    return str_contains($this->body, 'unauthorized') ? 401 : 200;
                }

                public function getBody(): string {
                    return $this->body;
                }
            };
        }
    }
}

namespace core\session {
    final class manager {
        public static function set_user(object $user): void {
            echo "Notices of a plugin may stand before the reply.\n";
        }
    }
}

namespace core\files {
    final class curl_security_helper {
        public function url_is_blocked(string $url): bool {
            return str_contains((string) get_config('core', 'curlsecurityblockedhosts'), '127.0.0.0/8');
        }
    }
}

namespace GuzzleHttp\Exception {
    interface GuzzleException {
    }

    final class ConnectException extends \RuntimeException implements GuzzleException {
    }
}

namespace core_ai {
    abstract class instance {
        public function __construct(
            public bool $enabled,
            public string $name,
            public array $config,
            public array $actionconfig,
            public ?int $id = null,
        ) {
        }

        public function get_name(): string {
            return strstr(static::class, '\\', true);
        }

        public function is_provider_configured(): bool {
            return !empty($this->config['url'] ?? $this->config['apikey'] ?? '');
        }

        public static function initialise_action_settings(): array {
            $made = [];
            foreach (static::ACTIONS as $action) {
                $made["core_ai\\aiactions\\$action"] = ['enabled' => true, 'settings' => ['model' => 'any']];
            }
            return $made;
        }
    }

    abstract class plugin {
        public function is_provider_configured(): bool {
            $of = strstr(static::class, '\\', true);
            return (bool) (get_config($of, 'url') ?: get_config($of, 'apikey'));
        }

        public function get_action_list(): array {
            return array_map(fn(string $action): string => "core_ai\\aiactions\\$action", array_slice(static::ACTIONS, 0, 3));
        }
    }

    if (\site::$data['shape'] === '4.5') {
        class manager {
        }
    } else {
        class manager {
            public function create_provider_instance($classname, $name, $enabled, $config, $actionconfig): object {
                $id = 1 + max([0, ...array_keys(\site::$data['instances'])]);
                $row = ['provider' => $classname] + compact('enabled', 'name', 'config', 'actionconfig', 'id');
                \site::$data['instances'][$id] = $row;
                \site::keep();
                return $this->get_provider_instances(['id' => $id])[$id];
            }

            public function get_provider_instances(array $filter = []): array {
                $found = [];
                foreach (\site::$data['instances'] as $id => $row) {
                    if (array_intersect_assoc($filter, $row) == $filter && class_exists($row['provider'])) {
                        $class = $row['provider'];
                        unset($row['provider']);
                        $found[$id] = new $class(...$row);
                    }
                }
                return $found;
            }

            public function get_sorted_providers(): array {
                $all = $this->get_provider_instances();
                $order = array_flip(explode(',', (string) get_config('core_ai', 'provider_order')));
                uksort($all, fn($one, $other): int => ($order[$one] ?? 99) <=> ($order[$other] ?? 99));
                return $all;
            }

            public function update_provider_instance(object $provider, array $config, array $actionconfig): void {
                $this->change($provider, compact('config', 'actionconfig'));
            }

            public function enable_provider_instance(object $provider): void {
                $this->change($provider, ['enabled' => true]);
                $this->order($provider->id, true);
            }

            public function disable_provider_instance(object $provider): void {
                $this->change($provider, ['enabled' => false]);
                $this->order($provider->id, false);
            }

            public function delete_provider_instance(object $provider): void {
                unset(\site::$data['instances'][$provider->id]);
                \site::keep();
            }

            /** Moodle writes the order even where nothing changes, and relies on a blank at its beginning. */
            private function order(int $id, bool $in): void {
                $order = explode(',', (string) get_config('core_ai', 'provider_order'));
                $key = array_search($id, $order);
                if ($in && !$key) {
                    $order[] = $id;
                } else if (!$in && $key) {
                    unset($order[$key]);
                }
                set_config('provider_order', implode(',', $order), 'core_ai');
            }

            private function change(object $provider, array $to): void {
                \site::$data['instances'][$provider->id] = $to + \site::$data['instances'][$provider->id];
                \site::keep();
            }
        }
    }
}

namespace {
    $base = site::$data['shape'] === '4.5' ? 'plugin' : 'instance';
    $actions = "const ACTIONS = ['generate_text', 'summarise_text', 'explain_text', 'generate_image'];";
    eval("namespace aiprovider_openai; class provider extends \\core_ai\\$base { $actions }");
    if (is_dir("$CFG->dirroot/ai/provider/sidecar")) {
        $actions = str_replace(", 'generate_image'", '', $actions);
        eval("namespace aiprovider_sidecar; class provider extends \\core_ai\\$base { $actions }");
    }
}
