<?php

// Stand-ins for what the plugin's summaries of pages use of Moodle: a database in memory, courses, pages and contexts.
// The context of the page N is 100 + N.

declare(strict_types=1);

namespace {
    const CONTEXT_PAGES = 100;
    const IGNORE_MISSING = 0;
    const SQL_PARAMS_NAMED = 1;

    final class context_module
    {
        public function __construct(public readonly int $id, public readonly int $instanceid)
        {
        }
    }

    final class context
    {
        public static function instance_by_id(int $id, int $strictness): ?context_module
        {
            return new context_module($id, $id - CONTEXT_PAGES);
        }
    }

    final class core_text
    {
        public static function strtolower(string $text): string
        {
            return strtr(strtolower($text), ['Ä' => 'ä', 'É' => 'é']);
        }
    }

    class moodle_exception extends Exception
    {
        public function __construct(string $id, string $component, string $link, string $a)
        {
            parent::__construct(get_string($id, $component, $a));
        }
    }

    class cm_info
    {
        public bool $deletioninprogress = false;
        public int $course;
        public context_module $context;

        public function __construct(stdClass $page, public bool $visible)
        {
            $this->instance = $page->id;
            $this->course = $page->course;
            $this->context = new context_module(CONTEXT_PAGES + $page->id, $page->id);
        }

        public int $instance;
    }

    function get_fast_modinfo(int $course): object
    {
        return new class ($course) {
            public function __construct(private readonly int $course)
            {
            }

            public function get_instances_of(string $name): array
            {
                $pages = array_filter($GLOBALS['DB']->tables['page'], fn ($page) => $page->course === $this->course);
                return array_map(static fn ($page) => new cm_info($page, $page->visible), $pages);
            }
        };
    }

    function format_text(string $text, int $format, array $options): string
    {
        return $text;
    }

    /** The methods of Moodle's database that the plugin calls, over rows in memory. */
    final class memory_database
    {
        public function __construct(public array $tables)
        {
        }

        private function matching(string $table, array $conditions): array
        {
            return array_filter($this->tables[$table], static function (object $row) use ($conditions): bool {
                foreach ($conditions as $name => $value) {
                    if ($row->$name != $value) {
                        return false;
                    }
                }
                return true;
            });
        }

        public function get_record(string $table, array $conditions): stdClass|false
        {
            $rows = $this->matching($table, $conditions);
            return $rows ? clone reset($rows) : false;
        }

        public function get_record_sql(string $sql, array $params): stdClass|false
        {
            return $this->get_record('page', ['id' => $params[0]]);
        }

        public function get_records(string $table, array $conditions, mixed ...$rest): array
        {
            return array_map(static fn (object $row) => clone $row, $this->matching($table, $conditions));
        }

        public function count_records(string $table, array $conditions): int
        {
            return count($this->matching($table, $conditions));
        }

        public function record_exists(string $table, array $conditions): bool
        {
            return (bool) $this->matching($table, $conditions);
        }

        public function record_exists_select(string $table, string $select, array $params): bool
        {
            return in_array($params, $this->tables[$table]);
        }

        public function insert_record(string $table, stdClass $row): void
        {
            $row->id = count($this->tables[$table]) + 1;
            $this->tables[$table][$row->id] = clone $row;
        }

        public function update_record(string $table, stdClass $row): void
        {
            foreach ((array) $row as $name => $value) {
                $this->tables[$table][$row->id]->$name = $value;
            }
        }

        public function get_in_or_equal(array $values, mixed ...$rest): array
        {
            return ['', ['not in' => $values]];
        }

        public function delete_records_select(string $table, string $select, array $params): void
        {
            $column = str_contains($select, 'courseid') ? 'courseid' : 'providerid';
            $this->tables[$table] = array_filter(
                $this->tables[$table],
                static fn (object $row): bool => in_array($row->$column, $params['not in']),
            );
        }
    }
}

namespace core {
    final class clock
    {
        public int $now = 1000;

        public function time(): int
        {
            return $this->now;
        }
    }
}
