{{/* The address wins over the port, as in the exporter. */}}
{{- define "spot-interruption-exporter.port" -}}
{{- with .Values.config.prometheus -}}
{{ include "exporter.portOf" (.address | default (printf ":%d" (int .port))) }}
{{- end -}}
{{- end -}}

{{- define "spot-interruption-exporter.path" -}}
{{ .Values.config.prometheus.path }}
{{- end -}}

{{/* The configuration file: the user's keys, and those that follow from other values. */}}
{{- define "spot-interruption-exporter.config" -}}
{{- $_ := required "config.project_name is required: the id of the Google Cloud project whose instances are watched" .Values.config.project_name -}}
{{- $config := deepCopy .Values.config -}}
{{- $gcp := dict -}}
{{- range $key, $value := $config.gcp -}}
{{- if $value }}{{ $_ := set $gcp $key $value }}{{ end -}}
{{- end -}}
{{- if and $gcp.discover_query (not $gcp.discover) -}}
{{- fail "config.gcp.discover_query narrows a search, and config.gcp.discover says where to search" -}}
{{- end -}}
{{- if $gcp }}{{ $_ := set $config "gcp" $gcp }}{{ else }}{{ $_ := unset $config "gcp" }}{{ end -}}
{{- if not (include "spot-interruption-exporter.pubsub" .) -}}
{{- $_ := unset $config "pubsub" -}}
{{- if has (toString (dig "operations" "source" ($config.compute | default dict))) (list "off" "false" "reconcile") -}}
{{- fail "config.compute.operations must be source without config.pubsub, or nothing tells of interruptions" -}}
{{- end -}}
{{- end -}}
{{- /* YAML takes a bare off for false. */ -}}
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

{{/* Not empty if events come by Pub/Sub. `config.pubsub: null` takes the names of the subscriptions away. */}}
{{- define "spot-interruption-exporter.pubsub" -}}
{{- $pubsub := .Values.config.pubsub | default dict -}}
{{- $creation := $pubsub.instance_creation_subscription_name -}}
{{- $interruption := $pubsub.instance_interruption_subscription_name -}}
{{- if and $creation $interruption }}true
{{- else if or $creation $interruption -}}
{{- fail "config.pubsub needs both instance_creation_subscription_name and instance_interruption_subscription_name; config.pubsub=null does without Pub/Sub" -}}
{{- end -}}
{{- end -}}

{{/* Where interruptions come from, as sentences. */}}
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

{{/* Which projects are listed, as sentences. Of many, the number. */}}
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
The user's affinity, and away from nodes that are preempted: the storm that the exporter reports must not take the exporter.
Expressions within a term go together, so in the hard case each of the user's terms gets them.
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
