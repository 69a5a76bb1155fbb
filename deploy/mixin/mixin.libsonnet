// The rules and dashboards of both exporters as a monitoring mixin (https://monitoring.mixins.dev): prometheusAlerts,
// prometheusRules, grafanaDashboards and _config, generated from the files in ../rules and ../dashboards. README.md describes its use.

// The files of an exporter, in which the release's job and cluster label replace the defaults.
local substituted(config, exporter, text) =
  std.foldl(
    function(text, pair) std.strReplace(text, pair[0], pair[1]),
    [
      ['job="%s"' % exporter, config.selectors[exporter]],
      // Escaped quotes in JSON.
      ['job=\\"%s\\"' % exporter, std.strReplace(config.selectors[exporter], '"', '\\"')],
      ['kubernetes_cluster', config.clusterLabel],
    ],
    text
  );

local marker = ' # threshold ';
// Faster in every implementation than a search by std.findSubstr.
local isMarked(text) = std.strReplace(text, marker, '') != text;

// Parses a line `... <number> # threshold <key>` or `... "<pattern>" # threshold <key>`. Returns null for other lines.
local threshold(line) =
  if !isMarked(line) then null else
    local parts = std.split(line, marker);
    if std.endsWith(parts[0], '"') then
      local texts = std.split(parts[0], '"');
      { before: texts[0], value: texts[1], key: parts[1], literal: std.escapeStringJson }
    else
      local words = std.split(parts[0], ' ');
      local last = std.length(words) - 1;
      { before: std.join(' ', words[:last]) + ' ', value: std.parseJson(words[last]), key: parts[1], literal: function(number) '%g' % number };

local lines(rule) = if isMarked(rule.expr) then std.split(rule.expr, '\n') else [rule.expr];
local thresholds(rule) = [t for t in std.map(threshold, lines(rule)) if t != null];

// Applies the thresholds and the `for` of the configuration to a rule, and removes the comments.
local configured(config, rule) =
  local own = std.get(config.thresholds, std.get(rule, 'alert', ''), {});
  local keys = ['for'] + [t.key for t in thresholds(rule)];
  local unknown = std.setDiff(std.objectFields(own), std.set(keys));
  assert unknown == [] : 'thresholds.%s has no %s, it has: %s' % [rule.alert, std.join(', ', unknown), std.join(', ', keys)];
  rule {
    expr: std.join('\n', [
      local t = threshold(line);
      if t == null then line else
        local value = std.get(own, t.key, t.value);
        assert std.type(value) == std.type(t.value) : 'thresholds.%s.%s must be a %s' % [rule.alert, t.key, std.type(t.value)];
        t.before + t.literal(value)
      for line in lines(rule)
    ]),
    [if std.objectHas(own, 'for') then 'for']: own['for'],
    [if std.objectHas(rule, 'alert') then 'labels']: rule.labels + config.additionalRuleLabels,
  };

{
  _config+:: {
    // Matchers for the targets of the exporters.
    selectors: {
      'spacelift-promex': 'job="spacelift-promex"',
      'spot-interruption-exporter': 'job="spot-interruption-exporter"',
    },
    // The exporter's prometheus.cluster_label.
    clusterLabel: 'kubernetes_cluster',
    // By alert and threshold, such as { SpotInterruptionNodesLost: { share: 0.4, 'for': '5m' } }.
    thresholds: {},
    // Names of alerts to disable.
    disabled: [],
    // Additional labels of every alert.
    additionalRuleLabels: {},
    // Additional tags of the dashboards.
    dashboardTags: [],
  },

  local config = $._config,
  local files = {
    'spacelift-promex': {
      rules: importstr '../rules/spacelift-promex.yaml',
      dashboards: {
        'spacelift-promex.json': importstr '../dashboards/spacelift-promex.json',
        'spacelift-runs.json': importstr '../dashboards/spacelift-runs.json',
      },
    },
    'spot-interruption-exporter': {
      rules: importstr '../rules/spot-interruption-exporter.yaml',
      dashboards: {
        'spot-interruption-exporter.json': importstr '../dashboards/spot-interruption-exporter.json',
      },
    },
  },
  local groups = std.flatMap(
    function(exporter) std.parseYaml(substituted(config, exporter, files[exporter].rules)).groups,
    std.objectFields(files)
  ),
  local alerts = [rule.alert for group in groups for rule in group.rules if std.objectHas(rule, 'alert')],
  // The name of an alert that does not exist is an error.
  local unknown = std.setDiff(std.set(std.objectFields(config.thresholds) + config.disabled), std.set(alerts)),
  local chosen(kind) =
    assert unknown == [] : 'there is no alert %s' % std.join(', ', unknown);
    std.filter(function(group) group.rules != [], [
      group {
        rules: [
          configured(config, rule)
          for rule in group.rules
          if std.objectHas(rule, kind) && !std.member(config.disabled, rule[kind])
        ],
      }
      for group in groups
    ]),

  prometheusRules+:: { groups+: chosen('record') },
  prometheusAlerts+:: { groups+: chosen('alert') },
  grafanaDashboards+:: {
    [file]: std.parseJson(substituted(config, exporter, files[exporter].dashboards[file])) + { tags+: config.dashboardTags }
    for exporter in std.objectFields(files)
    for file in std.objectFields(files[exporter].dashboards)
  },
}
