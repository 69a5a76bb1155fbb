{{/* The address overrides the port, as in the exporter. */}}
{{- define "spot-interruption-exporter.port" -}}
{{- with .Values.config.prometheus -}}
{{ include "exporter.portOf" (.address | default (printf ":%d" (int .port))) }}
{{- end -}}
{{- end -}}

{{- define "spot-interruption-exporter.path" -}}
{{ .Values.config.prometheus.path }}
{{- end -}}

{{/* The configuration file: the user's keys, and keys that are derived from other values. */}}
{{- define "spot-interruption-exporter.config" -}}
{{- $_ := required "config.project_name is required: the id of the Google Cloud project whose instances are watched" .Values.config.project_name -}}
{{- $config := deepCopy .Values.config -}}
{{- $gcp := dict -}}
{{- range $key, $value := $config.gcp -}}
{{- if $value }}{{ $_ := set $gcp $key $value }}{{ end -}}
{{- end -}}
{{- if and $gcp.discover_query (not $gcp.discover) -}}
{{- fail "config.gcp.discover_query narrows a search: set config.gcp.discover to the folders or organizations to search" -}}
{{- end -}}
{{- if $gcp }}{{ $_ := set $config "gcp" $gcp }}{{ else }}{{ $_ := unset $config "gcp" }}{{ end -}}
{{- if not (include "spot-interruption-exporter.pubsub" .) -}}
{{- $_ := unset $config "pubsub" -}}
{{- if has (toString (dig "operations" "source" ($config.compute | default dict))) (list "off" "false" "reconcile") -}}
{{- fail "config.compute.operations must be source without config.pubsub, because interruptions would not be detected" -}}
{{- end -}}
{{- end -}}
{{- /* YAML parses an unquoted off as false. */ -}}
{{- if eq "false" (toString (dig "operations" "" ($config.compute | default dict))) -}}
{{- $_ := set $config.compute "operations" "off" -}}
{{- end -}}
{{- if include "exporter.web.enabled" . -}}
{{- $web := dict "config_file" (include "exporter.web.path" .) "open_probes" .Values.webConfig.openProbes -}}
{{- $_ := set $config "web" (merge $web ($config.web | default dict)) -}}
{{- end -}}
{{- if .Values.persistence.enabled -}}
{{- $_ := set $config "state" (dict "path" (include "exporter.state.directory" .)) -}}
{{- end -}}
{{- toYaml $config -}}
{{- end -}}

{{/* Not empty if events are received from Pub/Sub. `config.pubsub: null` removes the names of the subscriptions. */}}
{{- define "spot-interruption-exporter.pubsub" -}}
{{- $pubsub := .Values.config.pubsub | default dict -}}
{{- $creation := $pubsub.instance_creation_subscription_name -}}
{{- $interruption := $pubsub.instance_interruption_subscription_name -}}
{{- if and $creation $interruption }}true
{{- else if or $creation $interruption -}}
{{- fail "config.pubsub needs both instance_creation_subscription_name and instance_interruption_subscription_name; set config.pubsub=null to run without Pub/Sub" -}}
{{- end -}}
{{- end -}}

{{/* The source of interruptions, as sentences. */}}
{{- define "spot-interruption-exporter.source" -}}
{{- $compute := .Values.config.compute | default dict -}}
{{- if not (include "spot-interruption-exporter.pubsub" .) -}}
It learns of interruptions from Compute Engine's operations, every {{ $compute.operations_interval | default "30s" }}. With Pub/Sub
(config.pubsub) they come within seconds.
{{- else if has (toString $compute.operations) (list "off" "false") -}}
It learns of interruptions from two Pub/Sub subscriptions. If a log sink is broken, nothing tells (config.compute.operations).
{{- else if eq "source" (toString $compute.operations) -}}
It learns of interruptions from two Pub/Sub subscriptions and, every {{ $compute.operations_interval | default "30s" }}, from Compute Engine's operations.
{{- else -}}
It learns of interruptions from two Pub/Sub subscriptions, and every {{ $compute.operations_interval | default "5m" }} asks Compute Engine for those of which no
message came.
{{- end -}}
{{- end -}}

{{/* The listed projects, as sentences. If there are many, only their number. */}}
{{- define "spot-interruption-exporter.projects" -}}
{{- $gcp := .Values.config.gcp | default dict -}}
{{- $projects := prepend ($gcp.projects | default list) .Values.config.project_name | uniq -}}
It lists the instances of {{ if gt (len $projects) 5 }}{{ len $projects }} projects, {{ .Values.config.project_name }} among them
{{- else }}{{ ternary "project" "projects" (eq (len $projects) 1) }} {{ join ", " $projects }}{{ end }}
{{- with $gcp.discover }}
{{- $parents := kindIs "slice" . | ternary . (list .) }}, and of every project below {{ join ", " $parents }}
{{- with $gcp.discover_query }} that matches {{ . | quote }}{{ end }}
{{- end }}.
{{- end -}}

{{/*
The user's affinity, plus an affinity to nodes that are not preemptible: a burst of preemptions must not stop the
exporter that reports it. Expressions of a term are combined with AND, so with `required` they are added to each of
the user's terms.
*/}}
{{- define "spot-interruption-exporter.affinity" -}}
{{- $affinity := deepCopy (.Values.affinity | default dict) -}}
{{- $avoid := .Values.avoidSpotNodes | default "preferred" -}}
{{- if ne $avoid "none" -}}
{{- $expressions := list
  (dict "key" "cloud.google.com/gke-spot" "operator" "NotIn" "values" (list "true"))
  (dict "key" "cloud.google.com/gke-preemptible" "operator" "NotIn" "values" (list "true"))
  (dict "key" "karpenter.sh/capacity-type" "operator" "NotIn" "values" (list "spot")) -}}
{{- $node := $affinity.nodeAffinity | default dict -}}
{{- if eq $avoid "required" -}}
{{- $terms := list -}}
{{- range dig "requiredDuringSchedulingIgnoredDuringExecution" "nodeSelectorTerms" list $node -}}
{{- $terms = append $terms (set . "matchExpressions" (concat (.matchExpressions | default list) $expressions)) -}}
{{- end -}}
{{- $terms = $terms | default (list (dict "matchExpressions" $expressions)) -}}
{{- $_ := set $node "requiredDuringSchedulingIgnoredDuringExecution" (dict "nodeSelectorTerms" $terms) -}}
{{- else -}}
{{- $preference := dict "weight" 100 "preference" (dict "matchExpressions" $expressions) -}}
{{- $preferences := append ($node.preferredDuringSchedulingIgnoredDuringExecution | default list) $preference -}}
{{- $_ := set $node "preferredDuringSchedulingIgnoredDuringExecution" $preferences -}}
{{- end -}}
{{- $_ := set $affinity "nodeAffinity" $node -}}
{{- end -}}
{{- toYaml $affinity -}}
{{- end -}}
