{{/*
Rules and dashboards are the plain files of deploy/rules and deploy/dashboards, which contain the defaults. The values
that depend on the release are substituted here.
*/}}

{{/*
The job names of the release's targets, as the monitors set them; without a monitor, the application's name. If the
job label is missing, the Operator's default applies. A JSON object {"jobs": […]}.
*/}}
{{- define "exporter.jobs" -}}
{{- $jobs := list -}}
{{- with .Values.serviceMonitor -}}
{{- if .enabled -}}
{{- $labels := include "exporter.serviceLabels" $ | fromYaml -}}
{{- $jobs = append $jobs (get $labels (.jobLabel | default "") | default (include "exporter.fullname" $)) -}}
{{- end -}}
{{- end -}}
{{- with .Values.podMonitor -}}
{{- if .enabled -}}
{{- $labels := include "exporter.podLabels" $ | fromYaml -}}
{{- $default := printf "%s/%s" (.namespace | default (include "exporter.namespace" $)) (include "exporter.fullname" $) -}}
{{- $jobs = append $jobs (get $labels (.jobLabel | default "") | default $default) -}}
{{- end -}}
{{- end -}}
{{- if (.Values.podMonitoring).enabled -}}
{{- $jobs = append $jobs (include "exporter.fullname" .) -}}
{{- end -}}
{{- if .Values.prometheusRule.job -}}
{{- $jobs = list .Values.prometheusRule.job -}}
{{- end -}}
{{- dict "jobs" ($jobs | default (list (include "exporter.name" .)) | uniq) | toJson -}}
{{- end -}}

{{/* The PromQL matcher for these jobs. */}}
{{- define "exporter.jobMatcher" -}}
{{- $jobs := (include "exporter.jobs" . | fromJson).jobs -}}
{{- if eq (len $jobs) 1 -}}
job={{ first $jobs | quote }}
{{- else -}}
{{- $patterns := list -}}
{{- range $jobs }}{{ $patterns = append $patterns (regexQuoteMeta . | replace "\\" "\\\\") }}{{ end -}}
job=~"{{ join "|" $patterns }}"
{{- end -}}
{{- end -}}

{{/*
A file in which the release's job and cluster label replace the defaults. Takes root, file, program (the job in the
file) and, if the exporter has one, clusterLabel; json means that quotes are escaped in the file.
*/}}
{{- define "exporter.substituted" -}}
{{- $text := .root.Files.Get .file | required (printf "%s is missing from the chart" .file) -}}
{{- $old := printf "job=%q" .program -}}
{{- $new := include "exporter.jobMatcher" .root -}}
{{- if .json -}}
{{- $old = replace `"` `\"` $old -}}
{{- $new = $new | replace `\` `\\` | replace `"` `\"` -}}
{{- end -}}
{{- $text = replace $old $new $text -}}
{{- with .clusterLabel -}}
{{- $text = regexReplaceAllLiteral "\\bkubernetes_cluster\\b" $text . -}}
{{- end -}}
{{- $text -}}
{{- end -}}

{{/*
The expression of an alert with the user's thresholds, and without the comments `# threshold KEY` after numbers and
quoted patterns. Takes alert, expr and thresholds: a map by key, or a number for the first numeric threshold.
*/}}
{{- define "exporter.rules.expr" -}}
{{- $expr := .expr -}}
{{- $numbers := list -}}
{{- range regexFindAll "[0-9.][ \t]*# threshold [a-z_]+" .expr -1 }}{{ $numbers = append $numbers (splitList " " . | last) }}{{ end -}}
{{- $patterns := list -}}
{{- range regexFindAll "\"[ \t]*# threshold [a-z_]+" .expr -1 }}{{ $patterns = append $patterns (splitList " " . | last) }}{{ end -}}
{{- $keys := concat $numbers $patterns -}}
{{- $thresholds := .thresholds -}}
{{- if not (kindIs "map" $thresholds) -}}
{{- if not $numbers }}{{ fail (printf "prometheusRule.thresholds.%s: the alert has no threshold" .alert) }}{{ end -}}
{{- $thresholds = dict (first $numbers) $thresholds -}}
{{- end -}}
{{- range $key, $value := omit $thresholds "for" -}}
{{- if not (has $key $keys) -}}
{{- fail (printf "prometheusRule.thresholds.%s.%s: there is no such threshold; there are: %s" $.alert $key (append $keys "for" | join ", ")) -}}
{{- end -}}
{{- if ne (kindIs "string" $value) (has $key $patterns) -}}
{{- fail (printf "prometheusRule.thresholds.%s.%s must be a %s" $.alert $key (ternary "regular expression" "number" (has $key $patterns))) -}}
{{- end -}}
{{- $literal := ternary (quote $value) (toString $value) (kindIs "string" $value) -}}
{{- $expr = regexReplaceAllLiteral (printf `(?m)(-?[0-9][0-9.]*|"[^"]*")[ \t]*# threshold %s$` $key) $expr $literal -}}
{{- end -}}
{{- regexReplaceAll `(?m)[ \t]*# threshold [a-z_]+$` $expr "" -}}
{{- end -}}

{{/* The packaged rule groups with the settings of the values. Takes root, program and clusterLabel. */}}
{{- define "exporter.rules" -}}
{{- $values := .root.Values.prometheusRule -}}
{{- $disabled := $values.disabled | default list -}}
{{- if kindIs "map" $disabled -}}
{{- $names := list -}}
{{- range $name, $off := $disabled }}{{ if $off }}{{ $names = append $names $name }}{{ end }}{{ end -}}
{{- $disabled = $names -}}
{{- end -}}
{{- $thresholds := $values.thresholds | default dict -}}
{{- $alerts := list -}}
{{- $groups := list -}}
{{- $file := include "exporter.substituted" (dict "root" .root "program" .program "clusterLabel" .clusterLabel "file" "files/rules.yaml") | fromYaml -}}
{{- range $group := $file.groups -}}
{{- $rules := list -}}
{{- range $rule := $group.rules -}}
{{- if $rule.alert -}}
{{- $alerts = append $alerts $rule.alert -}}
{{- $own := get $thresholds $rule.alert -}}
{{- if kindIs "invalid" $own }}{{ $own = dict }}{{ end -}}
{{- if eq (toString $own) "" }}{{ $own = dict }}{{ end -}}
{{- $_ := set $rule "expr" (include "exporter.rules.expr" (dict "alert" $rule.alert "expr" $rule.expr "thresholds" $own)) -}}
{{- if kindIs "map" $own }}{{ with $own.for }}{{ $_ := set $rule "for" . }}{{ end }}{{ end -}}
{{- $_ := set $rule "labels" (merge (deepCopy ($values.additionalRuleLabels | default dict)) ($rule.labels | default dict)) -}}
{{- end -}}
{{- if not (and $rule.alert (has $rule.alert $disabled)) }}{{ $rules = append $rules $rule }}{{ end -}}
{{- end -}}
{{- if $rules }}{{ $groups = append $groups (set $group "rules" $rules) }}{{ end -}}
{{- end -}}
{{- range concat $disabled (keys $thresholds) -}}
{{- if not (has . $alerts) -}}
{{- fail (printf "prometheusRule: there is no alert %s; there are: %s" . (uniq $alerts | sortAlpha | join ", ")) -}}
{{- end -}}
{{- end -}}
{{- toYaml $groups -}}
{{- end -}}

{{/* The packaged rules, and the user's rules in a separate group. Takes root, program and clusterLabel. */}}
{{- define "exporter.prometheusRule" -}}
{{- with .root.Values.prometheusRule -}}
{{- if .enabled -}}
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  {{- include "exporter.metadata" (dict "root" $.root "namespace" .namespace "labels" .additionalLabels "annotations" .annotations) | nindent 2 }}
spec:
  groups:
    {{- include "exporter.rules" $ | nindent 4 }}
  {{- with .rules }}
    - name: {{ include "exporter.fullname" $.root }}-extra
      rules:
        {{- toYaml . | nindent 8 }}
  {{- end }}
{{- end -}}
{{- end -}}
{{- end -}}

{{/*
Takes root, program, clusterLabel, and more: dashboards besides files/dashboard.json, by the suffix of their names.
The file names contain the release, because Grafana's sidecar stores the files of all releases in one directory.
*/}}
{{- define "exporter.dashboards" -}}
{{- with .root.Values.dashboards -}}
{{- if .enabled -}}
{{- $name := include "exporter.fullname" $.root -}}
apiVersion: v1
kind: ConfigMap
metadata:
  {{- include "exporter.metadata" (dict
    "root" $.root
    "name" (printf "%s-dashboard" $name)
    "namespace" .namespace
    "labels" .labels
    "annotations" .annotations) | nindent 2 }}
data:
  {{- range $suffix, $file := merge (dict "" "files/dashboard.json") ($.more | default dict) }}
  {{ $name }}{{ $suffix }}.json: |
    {{- include "exporter.substituted" (dict "root" $.root "program" $.program "clusterLabel" $.clusterLabel "file" $file "json" true) | trim | nindent 4 }}
  {{- end }}
{{- end -}}
{{- end -}}
{{- end -}}
